package keycloak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

const (
	defaultTimeout = 5 * time.Second
	attempts       = 3 // of one call
	maxAnswer      = 4 << 20
	maxPause       = 2 * time.Second
)

// Config says whose realm is administered and as whom.
type Config struct {
	// Issuer is the issuer's URL, such as https://id.example.com/realms/tenantry.
	Issuer string
	// InternalURL is where the issuer is reached when that is not Issuer: the whole issuer URL as
	// seen from here or only its scheme, host and port.
	InternalURL string
	// ClientID and ClientSecret are the service account's.
	ClientID     string
	ClientSecret string
	// HTTPClient sends requests; nil gives one of its own. Redirects are refused.
	HTTPClient *http.Client
	// Timeout is for one attempt; 0 means five seconds.
	Timeout time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Pause waits before the nth repetition; nil backs off from 100 ms to two seconds.
	Pause func(ctx context.Context, n int) error
}

// Client administers one realm. It is safe for concurrent use.
type Client struct {
	admin string // URL of the realm's admin API
	http  *http.Client
	pause func(ctx context.Context, n int) error
	token *tokenSource
}

// New makes a client without touching the network.
func New(c Config) (*Client, error) {
	base, err := baseURL(c.Issuer, c.InternalURL)
	if err != nil {
		return nil, err
	}
	if c.ClientID == "" || c.ClientSecret == "" {
		return nil, errors.New("keycloak: the service account needs an id and a secret")
	}
	prefix, realm := path.Split(base.Path)
	if path.Base(prefix) != "realms" {
		return nil, errors.New("keycloak: the issuer is no Keycloak realm: its path does not end in /realms/{name}")
	}
	admin := *base
	admin.Path = path.Join(path.Dir(path.Clean(prefix)), "admin", "realms", realm)
	client := &http.Client{}
	if c.HTTPClient != nil {
		*client = *c.HTTPClient
	}
	if client.Timeout = c.Timeout; client.Timeout <= 0 {
		client.Timeout = defaultTimeout
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Pause == nil {
		c.Pause = pause
	}
	return &Client{admin: admin.String(), http: client, pause: c.Pause, token: &tokenSource{
		endpoint: base.String() + "/protocol/openid-connect/token", id: c.ClientID, secret: c.ClientSecret, http: client, now: c.Now,
	}}, nil
}

// baseURL is the issuer as reached from here.
func baseURL(issuer, internal string) (*url.URL, error) {
	public, err := parse(issuer)
	if err != nil || internal == "" {
		return public, err
	}
	base, err := parse(internal)
	if err == nil && base.Path == "" {
		base.Path = public.Path
	}
	return base, err
}

func parse(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("keycloak: the issuer is not an http(s) URL")
	}
	return u, nil
}

// pause backs off exponentially, with jitter so that many clients do not come back at once.
func pause(ctx context.Context, n int) error {
	wait := min(100*time.Millisecond<<(2*n), maxPause)
	timer := time.NewTimer(wait/2 + rand.N(wait/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call is one request of the admin API.
type call struct {
	op     string
	method string
	path   string // below the realm, escaped
	query  url.Values
	body   any
	want   []int // statuses that are fine
}

// answer is an answer of a wanted status.
type answer struct {
	status   int
	body     []byte
	location string
}

// do makes a call. It repeats it where the server fails or cannot be reached, and with a new token
// where the old one is refused.
func (c *Client) do(ctx context.Context, what call) (*answer, error) {
	var body []byte
	if what.body != nil {
		var err error
		if body, err = json.Marshal(what.body); err != nil {
			return nil, &Error{Op: what.op, Err: err}
		}
	}
	var last error
	for n := range attempts {
		if n > 0 {
			if err := c.pause(ctx, n-1); err != nil {
				return nil, &Error{Op: what.op, Err: errors.Join(last, err)}
			}
		}
		got, again, err := c.try(ctx, what, body)
		if !again {
			return got, err
		}
		last = err
	}
	return nil, last
}

// try is one attempt; again means that another may fare better.
func (c *Client) try(ctx context.Context, what call, body []byte) (_ *answer, again bool, _ error) {
	token, err := c.token.get(ctx)
	if err != nil {
		again := errors.Is(err, ErrUnavailable) && ctx.Err() == nil
		return nil, again, err
	}
	address := c.admin + what.path
	if what.query != nil {
		address += "?" + what.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, what.method, address, bytes.NewReader(body))
	if err != nil {
		return nil, false, &Error{Op: what.op, Err: err}
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(r)
	if err != nil {
		return nil, ctx.Err() == nil, &Error{Op: what.op, Err: unreachable(ctx, err)}
	}
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, ctx.Err() == nil, &Error{Op: what.op, Err: unreachable(ctx, err)}
	}
	for _, status := range what.want {
		if response.StatusCode == status {
			return &answer{status: status, body: read, location: response.Header.Get("Location")}, false, nil
		}
	}
	failed := statusError(what.op, response.StatusCode)
	if response.StatusCode == http.StatusUnauthorized {
		c.token.drop(token)
		return nil, true, failed
	}
	return nil, errors.Is(failed, ErrUnavailable), failed
}

// unreachable keeps what went wrong and leaves out the address, which may name people.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// get reads a JSON answer.
func get[T any](ctx context.Context, c *Client, op, path string, query url.Values) (T, error) {
	var value T
	got, err := c.do(ctx, call{op: op, method: http.MethodGet, path: path, query: query, want: []int{http.StatusOK}})
	if err != nil {
		return value, err
	}
	if err := json.Unmarshal(got.body, &value); err != nil {
		return value, &Error{Op: op, Status: got.status, Err: errors.New("the answer cannot be read")}
	}
	return value, nil
}

// pageSize is how many elements of a list are asked for at a time.
const pageSize = 100

// all reads a list page by page.
func all[T any](ctx context.Context, c *Client, op, path string) ([]T, error) {
	var list []T
	for {
		page, err := get[[]T](ctx, c, op, path, url.Values{
			"first": {fmt.Sprint(len(list))}, "max": {fmt.Sprint(pageSize)}, "briefRepresentation": {"true"},
		})
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
		if len(page) < pageSize {
			return list, nil
		}
	}
}

// createdID is the last part of the address of what was created.
func createdID(a *answer) string {
	u, err := url.Parse(a.location)
	if err != nil {
		return ""
	}
	return path.Base(u.Path)
}
