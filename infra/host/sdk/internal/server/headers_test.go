//go:build stockhost

package server

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"encore.dev/beta/errs"
)

// whatever is answered, and by whom.
func TestNoAnswerIsUnguarded(t *testing.T) {
	t.Parallel()
	for _, production := range []bool{false, true} {
		a := newApp(t, func(a *app) { a.config.HSTS = production; a.config.Limits.Body = 10 },
			typed("POST", "/typed", func(context.Context, []any, *none) (*none, error) { return nil, nil }),
			raw("GET", "/raw", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }),
			raw("GET", "/own", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Security-Policy", "default-src 'self'")
			}))
		for _, c := range []struct {
			method, path, csp string
			headers           []string
		}{
			{"POST", "/typed", csp[0], nil}, {"GET", "/raw", csp[0], nil}, {"GET", "/own", "default-src 'self'", nil},
			{"GET", "/typed", csp[0], nil}, {"GET", "/nothing", csp[0], nil}, {"GET", "/raw/", csp[0], nil},
			{"GET", "/__encore/healthz", csp[0], nil},
			{"OPTIONS", "/raw", csp[0], []string{"Origin: https://x.test", "Access-Control-Request-Method: GET"}},
		} {
			h := a.do(c.method, c.path, "", c.headers...).header
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" ||
				h.Get("Content-Security-Policy") != c.csp || h.Get("Referrer-Policy") != "no-referrer" ||
				h.Get("X-Request-Id") == "" || (h.Get("Strict-Transport-Security") != "") != production {
				t.Errorf("%s %s: %v", c.method, c.path, h)
			}
		}
	}
}

// later is an error's details that say when to come again.
type later struct{ Wait time.Duration }

func (later) ErrDetails() {}

func (l later) RetryIn() time.Duration { return l.Wait }

func TestAnErrorSaysWhenToComeAgain(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]string{0: "", time.Millisecond: "1", 1500 * time.Millisecond: "2"} {
		a := newApp(t, typed("GET", "/x", func(context.Context, []any, *none) (*none, error) {
			return nil, &errs.Error{Code: errs.ResourceExhausted, Message: "m", Details: later{wait}}
		}))
		if got := a.do("GET", "/x", "").header.Get("Retry-After"); got != want {
			t.Errorf("%s: %q, want %q", wait, got, want)
		}
	}
}
