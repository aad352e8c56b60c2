//go:build stockhost

package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/internal/registry"
)

type document struct {
	ID    string   `json:"id"`
	Title string   `json:"title"`
	Body  string   `json:"body"`
	Tags  []string `json:"tags"`
	Size  int      `json:"size"`
}

// kibibyte is a document that is 1 KiB of JSON.
var kibibyte = &document{ID: "00000000-0000-7000-8000-0000000000ac", Title: "A document", Body: strings.Repeat("lorem ipsum ", 75), Tags: []string{"a", "b"}, Size: 900}

// discard is a connection that takes everything.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// benchSessions stands for sessions that both handlers know.
var benchSessions = map[string]*user{"good": {"Ada"}}

func benchApp(b *testing.B) http.Handler {
	return newApp(b, func(a *app) {
		a.config.Log = zerolog.Nop()
		a.config.Registerer = prometheus.NewRegistry()
		a.reg.SetAuthHandler(&registry.AuthHandler{
			Service: "docs", Name: "Auth", Data: reflect.TypeFor[user](),
			Call: func(_ context.Context, params any) (auth.UID, any, error) {
				u := benchSessions[params.(string)]
				if u == nil {
					return "", nil, errs.B().Code(errs.Unauthenticated).Err()
				}
				return "u1", u, nil
			},
		})
	}, typed("GET", "/docs/:id", func(context.Context, []any, *none) (*document, error) { return kibibyte, nil }, access(registry.Auth))).server
}

// bareApp does the same with net/http alone.
func bareApp() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /docs/{id}", func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if benchSessions[token] == nil || r.PathValue("id") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(kibibyte)
	})
	return mux
}

// client asks the same of either handler, over and over.
type client struct {
	r *http.Request
	w discard
}

func newClient() *client {
	return &client{w: discard{http.Header{}}, r: (&http.Request{
		Method: "GET", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "x", URL: &url.URL{Path: "/docs/7"}, Body: http.NoBody,
		Header: http.Header{"Authorization": {"Bearer good"}, "Accept": {"*/*"}, "User-Agent": {"bench"}},
	}).WithContext(context.Background())}
}

func (c *client) ask(h http.Handler) {
	clear(c.w.header)
	h.ServeHTTP(&c.w, c.r)
}

// BenchmarkAuthenticatedRead compares a read by a known caller, 1 KiB of JSON, with a bare
// net/http handler that does the same, without a network in between. The last one takes turns
// between the two, so that whatever else the machine does falls on both alike; its of-bare is the
// host's throughput as a part of the bare handler's where nothing is sent. What is left of it once
// requests come over connections is measured by infra/host/bench, which also holds the floor.
func BenchmarkAuthenticatedRead(b *testing.B) {
	for name, h := range map[string]http.Handler{"bare": bareApp(), "host": benchApp(b)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			c := newClient()
			for b.Loop() {
				c.ask(h)
			}
		})
	}
	b.Run("turns", func(b *testing.B) {
		const turn = 50
		bare, host, c := bareApp(), benchApp(b), newClient()
		var took [2]time.Duration
		for b.Loop() {
			for i, h := range []http.Handler{bare, host} {
				start := time.Now()
				for range turn {
					c.ask(h)
				}
				took[i] += time.Since(start)
			}
		}
		b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "of-bare")
	})
}
