package stripe

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Event is one that was emitted.
type Event struct {
	ID      string
	Payload []byte
}

// emit says what happened, to the log and to every endpoint.
func (s *Server) emit(kind string, about object) {
	id := s.id("evt")
	payload, err := json.Marshal(object{
		"id": id, "object": "event", "type": kind, "api_version": "2023-10-16", "created": s.now().Unix(),
		"livemode": false, "pending_webhooks": len(s.state.Endpoints), "data": object{"object": about},
	})
	if err != nil {
		panic(err) // objects are strings and numbers
	}
	e := Event{ID: id, Payload: payload}
	s.state.Events = append(s.state.Events, e)
	for _, endpoint := range s.state.Endpoints {
		s.sender.send(delivery{endpoint, payload})
	}
}

// Events are all that were emitted by this process, the oldest first.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.state.Events)
}

func (s *Server) listEvents(_ *http.Request, form url.Values) (object, error) {
	all := make([]object, 0, len(s.state.Events))
	for _, e := range slices.Backward(s.state.Events) {
		var o object
		if err := json.Unmarshal(e.Payload, &o); err != nil {
			return nil, wrong("event %s cannot be read", e.ID)
		}
		all = append(all, o)
	}
	return list(form, "/v1/events", all)
}

func (s *Server) createEndpoint(_ *http.Request, form url.Values) (object, error) {
	at := form.Get("url")
	if at == "" {
		return nil, wrong("Missing required param: url.")
	}
	if !slices.Contains(s.state.Endpoints, at) {
		s.state.Endpoints = append(s.state.Endpoints, at)
	}
	return object{"id": s.id("we"), "object": "webhook_endpoint", "url": at, "secret": s.cfg.Secret, "status": "enabled"}, nil
}

// Disturb is how events may arrive: a share of them twice, and a share at another place.
func Disturb(r *rand.Rand, events []Event, twice, elsewhere float64) []Event {
	out := slices.Clone(events)
	for i := range int(float64(len(events)) * twice) {
		out = append(out, events[(i*7)%len(events)])
	}
	for range int(float64(len(events)) * elsewhere / 2) { // a swap moves two
		i, j := r.IntN(len(out)), r.IntN(len(out))
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// Sign makes the Stripe-Signature header of a payload.
func Sign(payload []byte, secret string, at time.Time) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), payload)
	return "t=" + strconv.FormatInt(at.Unix(), 10) + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

type delivery struct {
	url     string
	payload []byte
}

// sender delivers events, in order, each tried again a few times.
type sender struct {
	secret string
	logf   func(string, ...any)
	client *http.Client
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	queue []delivery
	more  chan struct{}
}

const (
	deliverWithin = 5 * time.Second
	deliverTries  = 6
	firstPause    = 200 * time.Millisecond // doubles
)

func startSender(secret string, logf func(string, ...any)) *sender {
	ctx, cancel := context.WithCancel(context.Background())
	s := &sender{
		secret: secret, logf: logf, client: &http.Client{Timeout: deliverWithin}, cancel: cancel,
		done: make(chan struct{}), more: make(chan struct{}, 1),
	}
	go func() {
		defer close(s.done)
		s.run(ctx)
	}()
	return s
}

func (s *sender) close() {
	s.cancel()
	<-s.done
	s.client.CloseIdleConnections()
}

func (s *sender) send(d delivery) {
	s.mu.Lock()
	s.queue = append(s.queue, d)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *sender) next() (delivery, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return delivery{}, false
	}
	d := s.queue[0]
	s.queue = s.queue[1:]
	return d, true
}

func (s *sender) run(ctx context.Context) {
	for ctx.Err() == nil {
		d, ok := s.next()
		if !ok {
			select {
			case <-ctx.Done():
			case <-s.more:
			}
			continue
		}
		if err := s.deliver(ctx, d); err != nil && ctx.Err() == nil {
			s.logf("stripe: webhook not delivered to %s: %v", d.url, err)
		}
	}
}

func (s *sender) deliver(ctx context.Context, d delivery) (err error) {
	pause := firstPause
	for range deliverTries {
		if err = s.once(ctx, d); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
	return err
}

// once signs anew, as Stripe does for every try.
func (s *sender) once(ctx context.Context, d delivery) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(d.payload))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Stripe-Signature", Sign(d.payload, s.secret, time.Now()))
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}
