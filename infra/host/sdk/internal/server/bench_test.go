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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/internal/registry"
)

// floor is the least part of a bare handler's throughput that the host keeps.
const floor = 0.7

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

// benchToken stands for sessions that both handlers know.
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

func benchServe(b *testing.B, h http.Handler) float64 {
	b.ReportAllocs()
	r := &http.Request{
		Method: "GET", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "x", URL: &url.URL{Path: "/docs/7"}, Body: http.NoBody,
		Header: http.Header{"Authorization": {"Bearer good"}, "Accept": {"*/*"}, "User-Agent": {"bench"}},
	}
	r = r.WithContext(context.Background())
	w := &discard{header: http.Header{}}
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
	return float64(b.Elapsed().Nanoseconds()) / float64(b.N)
}

// BenchmarkAuthenticatedRead compares a read by a known caller, 1 KiB of JSON, with a bare
// net/http handler that does the same, without a network in between.
func BenchmarkAuthenticatedRead(b *testing.B) {
	var bare, host float64
	b.Run("bare", func(b *testing.B) { bare = benchServe(b, bareApp()) })
	b.Run("host", func(b *testing.B) {
		host = benchServe(b, benchApp(b))
		if bare > 0 {
			b.ReportMetric(bare/host, "of-bare")
			b.ReportMetric(floor, "floor")
		}
	})
}
