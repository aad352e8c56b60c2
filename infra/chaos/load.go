package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const acme = "00000000-0000-7000-8000-0000000000ac"

// quick is for requests that may meet a dead part.
var quick = &http.Client{Timeout: 8 * time.Second}

// patient is for an export of everything.
var patient = &http.Client{Timeout: 2 * time.Minute}

// signIn gets a token by direct grant at the development issuer.
func (s *stack) signIn(user, client string) (string, error) {
	form := url.Values{"grant_type": {"password"}, "client_id": {client}, "username": {user}, "password": {"demo"}}
	resp, err := quick.PostForm(s.issuer+"/protocol/openid-connect/token", form)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var out struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.AccessToken == "" {
		return "", fmt.Errorf("sign in %s: %s", user, resp.Status)
	}
	return out.AccessToken, nil
}

// call makes one request as somebody and decodes what comes with the status that is wanted.
func (s *stack) call(ctx context.Context, user, client, method, path string, body, out any, want int) error {
	token, err := s.signIn(user, client)
	if err != nil {
		return err
	}
	text, err := s.send(ctx, quick, token, method, path, body, want)
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(text, out)
}

func (s *stack) send(ctx context.Context, c *http.Client, token, method, path string, body any, want int) ([]byte, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	if body == nil {
		req.Body = http.NoBody
		req.ContentLength = 0
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("%s %s: %s %s", method, path, resp.Status, text)
	}
	return text, err
}

// load makes changes until it is stopped, and remembers which were acknowledged.
type load struct {
	stack  *stack
	cancel context.CancelFunc
	done   sync.WaitGroup

	attempts   atomic.Int64
	mu         sync.Mutex
	token      string
	taken      map[string]bool // projects that were answered with 201
	checkpoint string          // an early one, to hold against the end
}

const writers = 4

// tokenFor is how long a token is used; the issuer's live longer.
const tokenFor = time.Minute

func startLoad(s *stack, rate int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stack: s, cancel: cancel, taken: map[string]bool{}}
	l.renew()
	l.done.Go(func() {
		for tick := time.NewTicker(tokenFor); ; l.renew() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				tick.Stop()
				return
			}
		}
	})
	for range writers {
		l.done.Go(func() {
			tick := time.NewTicker(time.Second * writers / time.Duration(rate))
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					l.write(ctx)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	return l
}

// renew gets a new token; without one the old one is used on.
func (l *load) renew() {
	token, err := l.stack.signIn("ada@acme.test", "app")
	if err != nil {
		return
	}
	l.mu.Lock()
	l.token = token
	l.mu.Unlock()
}

// write creates a project. That it fails is expected here; that it is answered with 201 binds the app.
func (l *load) write(ctx context.Context) {
	n := l.attempts.Add(1)
	l.mu.Lock()
	token := l.token
	l.mu.Unlock()
	body := map[string]any{"title": fmt.Sprintf("chaos-%d", n), "sensitivity": "internal", "pii": false}
	text, err := l.stack.send(ctx, quick, token, "POST", "/api/v1/app/orgs/"+acme+"/projects", body, http.StatusCreated)
	var p struct{ ID string }
	if err != nil || json.Unmarshal(text, &p) != nil {
		return
	}
	l.mu.Lock()
	l.taken[p.ID] = true
	l.mu.Unlock()
}

// keep keeps the first checkpoint that covers something.
func (l *load) keep() {
	if l.checkpoint != "" {
		return
	}
	var c struct{ Checkpoint string }
	if err := l.stack.call(context.Background(), "ada@acme.test", "org-console", "GET", "/api/v1/org/"+acme+"/audit/checkpoint", nil, &c, http.StatusOK); err == nil {
		l.checkpoint = c.Checkpoint
	}
}

func (l *load) stop() {
	l.cancel()
	l.done.Wait()
}
