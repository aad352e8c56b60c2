// Package client is what the generated clients have in common: one call over HTTP, its options and
// its errors.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client calls one installation. Its fields may be changed before the first call.
type Client struct {
	Base  string                                    // such as https://api.example.com
	Token func(ctx context.Context) (string, error) // asked before every call, so that it can renew; nil: none
	HTTP  *http.Client
}

// New makes a client that shows one token.
func New(base, token string) *Client {
	return &Client{
		Base:  strings.TrimSuffix(base, "/"),
		Token: func(context.Context) (string, error) { return token, nil },
		HTTP:  http.DefaultClient,
	}
}

// Error is a refusal or failure.
type Error struct {
	Status  int     `json:"-"`
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Details Details `json:"details"`

	retryAfter time.Duration
}

// Details say more: Reason is the word to switch on.
type Details struct {
	Reason     string  `json:"reason"`
	RequestID  string  `json:"request_id"`
	DecisionID string  `json:"decision_id"`
	Part       string  `json:"part"`
	Fields     []Field `json:"fields"`
	RetryAfter int     `json:"retry_after"` // seconds
}

// Field says what is wrong with one field of a request.
type Field struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (e *Error) Error() string {
	return fmt.Sprintf("%d %s: %s (request %s)", e.Status, e.Details.Reason, e.Message, e.Details.RequestID)
}

// Reason is the reason of an error of this package, and "" of any other.
func Reason(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Details.Reason
	}
	return ""
}

// Call is one request of a generated method.
type Call struct {
	Method, Path string
	Query        url.Values
	Header       http.Header
	Body         any
	Keyed        bool // takes an idempotency key: the caller's, or a new one
}

// Option changes one call.
type Option func(*exchange)

type exchange struct {
	request *http.Request
	headers *http.Header
}

// Key is the write's idempotency key, for a repeat that outlives the process: it gets the first answer.
func Key(key string) Option {
	return func(x *exchange) { x.request.Header.Set("Idempotency-Key", key) }
}

// IfMatch makes a write fail with version_conflict if somebody changed the resource since it was read.
func IfMatch(etag string) Option { return func(x *exchange) { x.request.Header.Set("If-Match", etag) } }

// Headers keeps the answer's headers, such as ETag and RateLimit.
func Headers(to *http.Header) Option { return func(x *exchange) { x.headers = to } }

// Do makes a call and decodes its answer into out, if out is not nil.
func (c *Client) Do(ctx context.Context, call Call, out any, opts ...Option) error {
	body, err := c.Stream(ctx, call, opts...)
	if err != nil {
		return err
	}
	defer body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, body)
		return err
	}
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return fmt.Errorf("%s %s: answer: %w", call.Method, call.Path, err)
	}
	return nil
}

// Stream makes a call whose answer is read as it comes. The caller closes it.
func (c *Client) Stream(ctx context.Context, call Call, opts ...Option) (io.ReadCloser, error) {
	key := rand.Text() // one for all tries: that is what makes another one safe
	for try := 1; ; try++ {
		body, again, err := c.try(ctx, call, key, opts)
		if err == nil || !again || try == tries {
			return body, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause(err, try)):
		}
	}
}

// tries is how often a call is made at most, where it is refused for being too many or too early.
const tries = 4

// pause is how long to wait before another try: as long as the answer says, or a little more each time.
func pause(err error, try int) time.Duration {
	var e *Error
	if errors.As(err, &e) && e.retryAfter > 0 {
		return min(e.retryAfter, time.Minute)
	}
	return 100 * time.Millisecond << try
}

// try makes a call once; again says that another try is safe and may go better.
func (c *Client) try(ctx context.Context, call Call, key string, opts []Option) (body io.ReadCloser, again bool, err error) {
	req, err := c.request(ctx, call, key)
	if err != nil {
		return nil, false, err
	}
	x := &exchange{request: req}
	for _, o := range opts {
		o(x)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, false, err
	}
	if x.headers != nil {
		*x.headers = resp.Header
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp.Body, false, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, false, err
	}
	failure := &Error{Status: resp.StatusCode}
	if json.Unmarshal(text, failure) != nil { // a proxy's page, say
		failure.Message = http.StatusText(resp.StatusCode)
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		failure.retryAfter = time.Duration(seconds) * time.Second
	}
	busy := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable
	return nil, busy && (call.Keyed || call.Method == http.MethodGet), failure
}

func (c *Client) request(ctx context.Context, call Call, key string) (*http.Request, error) {
	target := c.Base + call.Path
	if len(call.Query) > 0 {
		target += "?" + call.Query.Encode()
	}
	var body io.Reader
	if call.Body != nil {
		text, err := json.Marshal(call.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, target, body)
	if err != nil {
		return nil, err
	}
	if call.Header != nil {
		req.Header = call.Header
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if call.Keyed {
		req.Header.Set("Idempotency-Key", key)
	}
	if c.Token != nil {
		token, err := c.Token(ctx)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

// Maybe is a field that can be left out, be null, or have a value. The zero Maybe is left out.
type Maybe[T any] struct {
	set   bool
	value *T
}

// Some is a value.
func Some[T any](v T) Maybe[T] { return Maybe[T]{true, &v} }

// Null is null.
func Null[T any]() Maybe[T] { return Maybe[T]{set: true} }

// IsZero says that the field is left out.
func (m Maybe[T]) IsZero() bool { return !m.set }

// MarshalJSON writes the value or null.
func (m Maybe[T]) MarshalJSON() ([]byte, error) { return json.Marshal(m.value) }

// All walks every page of a list. fetch gets the cursor of a page and gives its items and the next
// cursor.
func All[T any](fetch func(cursor string) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := ""; ; {
			items, next, err := fetch(cursor)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			cursor = next
		}
	}
}
