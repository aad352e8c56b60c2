package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	apiTimeout  = 15 * time.Second
	apiAttempts = 3
	apiPause    = 300 * time.Millisecond
	maxAnswer   = 4 << 20
)

// errAPIUnavailable is an app that cannot be reached or fails.
var errAPIUnavailable = errors.New("the app is not available")

// apiError is a refusal by the app.
type apiError struct {
	Status  int
	Reason  string // the stable word
	Message string
	Request string // the app's id of the request
}

func (e *apiError) Error() string {
	text := fmt.Sprintf("the app refuses with %d", e.Status)
	if e.Reason != "" {
		text += " " + e.Reason
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Request != "" {
		text += " (request " + e.Request + ")"
	}
	if e.Reason == "mfa_required" {
		text += "; sign in with a one-time code and use that token"
	}
	return text
}

func (e *apiError) exit() int {
	switch {
	case e.Status == http.StatusNotFound:
		return exitNotFound
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return exitRefused
	case e.Status >= http.StatusInternalServerError || e.Status == http.StatusTooManyRequests:
		return exitUnavailable
	}
	return exitFailed
}

// api is the app's admin API.
type api struct {
	base, token string
	client      *http.Client
}

func newAPI(base, token string) (*api, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &usageError{"TENANTRY_API_URL is not an http(s) URL"}
	}
	if token == "" {
		return nil, &usageError{"TENANTRY_TOKEN is not set"}
	}
	return &api{base: strings.TrimRight(base, "/"), token: token, client: &http.Client{
		Timeout: apiTimeout,
		// The token goes nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// call makes a request until it is answered, a few times. A write carries a key by which the app
// knows that it is the same one.
func call[T any](ctx context.Context, a *api, method, path string, body any) (T, error) {
	var answer T
	var text []byte
	key := ""
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return answer, err
		}
		key = uuid.NewString()
	}
	for n := 1; ; n++ {
		again, err := a.try(ctx, method, path, key, text, &answer)
		if err == nil || !again || n == apiAttempts {
			return answer, err
		}
		select {
		case <-time.After(time.Duration(n) * apiPause):
		case <-ctx.Done():
			return answer, ctx.Err()
		}
	}
}

// try is one attempt; again means that another may fare better.
func (a *api) try(ctx context.Context, method, path, key string, body []byte, into any) (again bool, _ error) {
	r, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	if key != "" {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
	}
	response, err := a.client.Do(r)
	if err != nil {
		return true, fmt.Errorf("%w: %w", errAPIUnavailable, err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return true, fmt.Errorf("%w: %w", errAPIUnavailable, err)
	}
	if response.StatusCode/100 == 2 {
		if err := json.Unmarshal(raw, into); err != nil {
			return false, fmt.Errorf("the app's answer to %s %s cannot be read", method, path)
		}
		return false, nil
	}
	refused := &apiError{Status: response.StatusCode}
	var failure struct {
		Message string `json:"message"`
		Details struct {
			Reason    string `json:"reason"`
			RequestID string `json:"request_id"`
			Fields    []struct {
				Field   string `json:"field"`
				Message string `json:"message"`
			} `json:"fields"`
		} `json:"details"`
	}
	if json.Unmarshal(raw, &failure) == nil {
		refused.Reason, refused.Message, refused.Request = failure.Details.Reason, failure.Message, failure.Details.RequestID
		for _, f := range failure.Details.Fields {
			refused.Message += "; " + f.Field + " " + f.Message
		}
	}
	return refused.exit() == exitUnavailable, refused
}
