package keycloak

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// tokenMargin is how long before its end a token is no longer used.
const tokenMargin = 20 * time.Second

// tokenSource keeps the service account's access token.
type tokenSource struct {
	endpoint, id, secret string
	http                 *http.Client
	now                  func() time.Time

	mu      sync.Mutex // held while fetching: one fetch serves all who wait
	token   string
	expires time.Time
}

// get returns a token that is good for a while.
func (s *tokenSource) get(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != "" && s.now().Add(tokenMargin).Before(s.expires) {
		return s.token, nil
	}
	const op = "sign in"
	form := url.Values{"grant_type": {"client_credentials"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", &Error{Op: op, Err: err}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(s.id), url.QueryEscape(s.secret)) // RFC 6749 §2.3.1
	asked := s.now()
	response, err := s.http.Do(r)
	if err != nil {
		return "", &Error{Op: op, Err: unreachable(ctx, err)}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		failed := statusError(op, response.StatusCode)
		if response.StatusCode == http.StatusBadRequest {
			failed.Err = ErrCredentials
		}
		return "", failed
	}
	var body struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&body); err != nil || body.AccessToken == "" {
		return "", &Error{Op: op, Status: response.StatusCode, Err: errors.New("the answer holds no token")}
	}
	s.token, s.expires = body.AccessToken, asked.Add(time.Duration(body.ExpiresIn)*time.Second)
	return s.token, nil
}

// drop forgets a token that was refused, unless a newer one has taken its place.
func (s *tokenSource) drop(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token = ""
	}
}
