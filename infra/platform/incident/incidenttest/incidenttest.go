// Package incidenttest is a Sentry for tests: it takes envelopes and keeps them.
package incidenttest

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Sentry takes envelopes.
type Sentry struct {
	DSN string

	mu        sync.Mutex
	envelopes []string
	came      chan struct{} // closed and replaced when one comes
}

// Start runs one until the test ends.
func Start(t testing.TB) *Sentry {
	t.Helper()
	s := &Sentry{came: make(chan struct{})}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.DSN = strings.Replace(server.URL, "http://", "http://key@", 1) + "/1"
	return s
}

// ServeHTTP takes one envelope.
func (s *Sentry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unpacked
	}
	text, err := io.ReadAll(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.envelopes = append(s.envelopes, string(text))
	close(s.came)
	s.came = make(chan struct{})
	io.WriteString(w, "{}")
}

// Await is the first envelope with all of these words in it, or the test fails.
func (s *Sentry) Await(t testing.TB, words ...string) string {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		all, came := s.envelopes, s.came
		s.mu.Unlock()
	next:
		for _, e := range all {
			for _, w := range words {
				if !strings.Contains(e, w) {
					continue next
				}
			}
			return e
		}
		select {
		case <-came:
		case <-late:
			t.Fatalf("none of %d envelopes has %q: %s", len(all), words, all)
		}
	}
}

// All is every envelope that has come.
func (s *Sentry) All() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.envelopes...)
}
