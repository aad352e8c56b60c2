package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// The demo's organisations.
const (
	acme   = "00000000-0000-7000-8000-0000000000ac"
	globex = "00000000-0000-7000-8000-000000000906"
)

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
