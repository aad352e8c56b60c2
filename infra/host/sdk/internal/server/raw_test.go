//go:build stockhost

package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	encore "encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/internal/registry"
	"encore.dev/middleware"
)

// echoPath answers with the path parameters.
func echoPath(w http.ResponseWriter, _ *http.Request) {
	for _, p := range encore.CurrentRequest().PathParams {
		_, _ = io.WriteString(w, p.Name+"="+p.Value+";")
	}
}

func TestRawSeesItsRequest(t *testing.T) {
	t.Parallel()
	a := newApp(t, tokens, raw("GET", "/a/:b/*rest", func(w http.ResponseWriter, r *http.Request) {
		if encore.CurrentRequest().PathParams.Get("b") != "x" || r.Context().Err() != nil {
			t.Error("the scope is not there")
		}
		echoPath(w, r)
	}))
	got := a.do("GET", "/a/x/y/z", "")
	if got.status != 200 || got.body != "b=x;rest=y/z;" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("%+v", got)
	}
}

func TestRawBodyIsLimited(t *testing.T) {
	t.Parallel()
	read := make(chan error, 1)
	a := newApp(t, func(a *app) { a.config.Limits.Body = 10 }, raw("POST", "/up", func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		read <- err
	}))
	if got := a.do("POST", "/up", strings.Repeat("x", 11)); got.status != 413 || got.errorBody(t).Details.Reason != reasonTooLarge {
		t.Errorf("known length: %+v", got)
	}
	r := httptest.NewRequest("POST", "/up", io.MultiReader(strings.NewReader("12345678"), strings.NewReader("9abc")))
	r.ContentLength = -1
	a.server.ServeHTTP(httptest.NewRecorder(), r)
	var tooLarge *http.MaxBytesError
	if err := <-read; !errors.As(err, &tooLarge) {
		t.Errorf("chunked: %v", err)
	}
}

func TestRawMiddlewareErrors(t *testing.T) {
	t.Parallel()
	refuse := errs.B().Code(errs.ResourceExhausted).Msg("slow down").Err()
	for name, tc := range map[string]struct {
		mw     func(middleware.Request, middleware.Next) middleware.Response
		status int
		body   string
	}{
		"refuses without next": {func(middleware.Request, middleware.Next) middleware.Response {
			resp := middleware.Response{Err: refuse}
			resp.Header().Set("Retry-After", "7")
			return resp
		}, 429, `"code":"resource_exhausted"`},
		"error after an answer is too late": {func(r middleware.Request, next middleware.Next) middleware.Response {
			next(r)
			return middleware.Response{Err: refuse}
		}, 202, "done"},
		"passes": {func(r middleware.Request, next middleware.Next) middleware.Response { return next(r) }, 202, "done"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newApp(t, raw("GET", "/r", func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(202)
				_, _ = io.WriteString(w, "done")
			}), func(a *app) { a.reg.AddMiddleware(&registry.Middleware{Global: true, Func: tc.mw}) })
			got := a.do("GET", "/r", "")
			if got.status != tc.status || !strings.Contains(got.body, tc.body) {
				t.Errorf("%+v", got)
			}
			if tc.status == 429 && got.header.Get("Retry-After") != "7" {
				t.Error("the middleware's header is lost")
			}
		})
	}
}

func TestRawPanics(t *testing.T) {
	t.Parallel()
	a := newApp(t,
		raw("GET", "/before", func(http.ResponseWriter, *http.Request) { panic("secret text") }),
		raw("GET", "/after", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			panic("secret text")
		}),
	)
	got := a.do("GET", "/before", "")
	if got.status != 500 || strings.Contains(got.body, "secret") || got.errorBody(t).Details.Reason != reasonInternal {
		t.Errorf("%+v", got)
	}
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("half an answer must cut the connection")
			}
		}()
		a.do("GET", "/after", "")
	}()
	if n := strings.Count(a.log.String(), `"panic":"secret text"`); n != 2 || !strings.Contains(a.log.String(), "raw_test.go") {
		t.Errorf("%d panics logged: %s", n, a.log.String())
	}
}

func TestRawDeadlineMayBeMoved(t *testing.T) {
	t.Parallel()
	a := newApp(t, func(a *app) { a.config.Limits.Handler = 20 * time.Millisecond },
		raw("GET", "/stuck", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			if !errors.Is(context.Cause(r.Context()), context.DeadlineExceeded) {
				t.Errorf("cause %v", context.Cause(r.Context()))
			}
		}),
		raw("GET", "/long", func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
				t.Error(err)
			}
			select {
			case <-r.Context().Done():
				t.Error("the deadline was not taken away")
			case <-time.After(60 * time.Millisecond):
			}
		}),
	)
	a.do("GET", "/stuck", "")
	a.do("GET", "/long", "")
}
