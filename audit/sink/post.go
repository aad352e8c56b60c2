package sink

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// ContentType of a delivery's body (CloudEvents, JSON event format).
	ContentType = "application/cloudevents+json"
	// Timeout bounds one delivery, from the look-up of the name to the end of the answer.
	Timeout = 15 * time.Second
	// maxAnswer is how much of an answer is read; nobody looks at it.
	maxAnswer = 16 << 10
)

// Poster delivers. Connections are kept for the next event of the same sink.
type Poster struct{ client *http.Client }

// NewPoster makes a poster that goes only where guard lets it.
func NewPoster(guard Guard) *Poster {
	return &Poster{client: &http.Client{
		Timeout: Timeout,
		// A redirect is an address that nobody checked, and an event sent to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil, // not even the environment's: it would be dialled in the receiver's place
			DialContext:            guard.dial,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    5 * time.Second,
			ResponseHeaderTimeout:  Timeout,
			MaxResponseHeaderBytes: maxAnswer,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
		},
	}}
}

// Close lets go of idle connections.
func (p *Poster) Close() { p.client.CloseIdleConnections() }

// Result is what came of one delivery. Status is 0 where there was no answer.
type Result struct {
	Status int
	Took   time.Duration
	Err    error // nil: the receiver has it
}

// Gone says that the receiver wants nothing more from this sink (Standard Webhooks: 410).
func (r Result) Gone() bool { return r.Status == http.StatusGone }

// Post delivers body once.
func (p *Poster) Post(ctx context.Context, to, id string, body []byte, keys ...[]byte) Result {
	start := time.Now()
	status, err := p.post(ctx, to, id, body, start, keys)
	if err == nil && (status < 200 || status > 299) {
		err = fmt.Errorf("the receiver answered %d", status)
	}
	return Result{Status: status, Took: time.Since(start), Err: err}
}

func (p *Poster) post(ctx context.Context, to, id string, body []byte, at time.Time, keys [][]byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return 0, ErrURL
	}
	Sign(req.Header, id, at, body, keys...)
	req.Header.Set("Content-Type", ContentType)
	req.Header.Set("User-Agent", "tenantry-audit-sink/1")
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, plainly(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, nil
}

// plainly is a failure in words for the delivery log: what the receiver's operator needs, and no
// address of ours.
func plainly(err error) error {
	var named *url.Error
	if errors.As(err, &named) {
		err = named.Err
	}
	var dns *net.DNSError
	var network net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, ErrAddress), errors.Is(err, ErrPort):
		return err
	case errors.As(err, &dns):
		return errors.New("the name cannot be resolved")
	case errors.As(err, &certificate):
		return errors.New("the certificate is not valid")
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time")
	}
	return errors.New("the connection failed")
}
