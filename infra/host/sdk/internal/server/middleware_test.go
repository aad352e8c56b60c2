//go:build stockhost

package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	encore "encore.dev"
	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/internal/registry"
	"encore.dev/internal/scope"
	"encore.dev/middleware"
)

type textResp struct {
	Text string `json:"text"`
}

// wrap adds a middleware.
func wrap(global bool, order int, fn func(middleware.Request, middleware.Next) middleware.Response) func(*app) {
	return func(a *app) {
		m := &registry.Middleware{Name: "m", Global: global, Order: order, Func: fn}
		if !global {
			m.Service = "svc"
		}
		a.reg.AddMiddleware(m)
	}
}

type ctxKey struct{}

// note appends a word to what the context carries.
func note(word string) func(middleware.Request, middleware.Next) middleware.Response {
	return func(r middleware.Request, next middleware.Next) middleware.Response {
		old, _ := r.Context().Value(ctxKey{}).(string)
		return next(r.WithContext(context.WithValue(r.Context(), ctxKey{}, old+word+" ")))
	}
}

func endText(ctx context.Context, _ []any, _ *none) (*textResp, error) {
	words, _ := ctx.Value(ctxKey{}).(string)
	return &textResp{words}, nil
}

func TestMiddlewareOrder(t *testing.T) {
	t.Parallel()
	a := newApp(t, wrap(false, 1, note("svc1")), wrap(true, 3, note("global3")), wrap(true, 2, note("global2")), wrap(false, 4, note("svc4")),
		typed("GET", "/x", endText))
	if got := a.do("GET", "/x", ""); got.body != `{"text":"global2 global3 svc1 svc4 "}`+"\n" {
		t.Error(got.body)
	}
	skipping := newApp(t, func(a *app) { a.config.SkipGlobal = true }, wrap(true, 1, note("global")), wrap(false, 2, note("svc")), typed("GET", "/x", endText))
	if got := skipping.do("GET", "/x", ""); got.body != `{"text":"svc "}`+"\n" {
		t.Error(got.body)
	}
}

func TestMiddlewareMayChangeTheAnswer(t *testing.T) {
	t.Parallel()
	refuse := errs.B().Code(errs.PermissionDenied).Msg("no").Err()
	type mw = func(middleware.Request, middleware.Next) middleware.Response
	after := func(change func(*middleware.Response)) mw {
		return func(r middleware.Request, next middleware.Next) middleware.Response {
			resp := next(r)
			change(&resp)
			return resp
		}
	}
	for name, tc := range map[string]struct {
		mw     mw
		status int
		body   string
		void   int // status of an endpoint without a response
	}{
		"nothing":      {after(func(*middleware.Response) {}), 200, `{"text":""}`, 200},
		"status":       {after(func(r *middleware.Response) { r.HTTPStatus = 202 }), 202, `{"text":""}`, 200},
		"payload":      {after(func(r *middleware.Response) { r.Payload = &textResp{"new"} }), 200, `{"text":"new"}`, 500},
		"wrong type":   {after(func(r *middleware.Response) { r.Payload = &struct{}{} }), 500, `"code":"internal"`, 500},
		"error":        {after(func(r *middleware.Response) { r.Err = refuse }), 403, `"message":"no"`, 403},
		"error status": {after(func(r *middleware.Response) { r.Err, r.HTTPStatus = refuse, 418 }), 418, `"message":"no"`, 418},
		"instead": {func(middleware.Request, middleware.Next) middleware.Response {
			return middleware.Response{Payload: &textResp{"cached"}}
		}, 200, `{"text":"cached"}`, 500},
		"nothing at all": {func(middleware.Request, middleware.Next) middleware.Response { return middleware.Response{} }, 200, "null", 200},
		"panic":          {func(middleware.Request, middleware.Next) middleware.Response { panic("secret") }, 500, `"code":"internal"`, 500},
		"twice": {func(r middleware.Request, next middleware.Next) middleware.Response {
			next(r)
			return next(r)
		}, 500, `"code":"internal"`, 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newApp(t, wrap(true, 1, tc.mw), typed("GET", "/x", endText), typed("GET", "/void", func(context.Context, []any, *none) (*none, error) { return nil, nil }))
			got := a.do("GET", "/x", "")
			if got.status != tc.status || !strings.Contains(got.body, tc.body) || strings.Contains(got.body, "secret") {
				t.Errorf("%d %s", got.status, got.body)
			}
			if got := a.do("GET", "/void", ""); got.status != tc.void || (tc.void == 200 && got.body != "") {
				t.Errorf("void: %d %s", got.status, got.body)
			}
		})
	}
}

func TestMiddlewareSeesTheCall(t *testing.T) {
	t.Parallel()
	seen := make(chan *encore.Request, 1)
	var inner middleware.Response
	a := newApp(t, tokens, wrap(true, 1, func(r middleware.Request, next middleware.Next) middleware.Response {
		seen <- r.Data()
		inner = next(r)
		inner.Header().Set("X-Seen", "yes")
		return inner
	}), typed("POST", "/v/:id", func(_ context.Context, _ []any, v *validated) (*textResp, error) {
		if v.Title == "boom" {
			panic("secret")
		}
		return &textResp{v.Title}, nil
	}, access(registry.Auth), named("orgs", "Create", "open")))
	ok := []string{"Authorization: Bearer good", "X-Encore-Meta-User: root", "X-Request-ID: r9", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}

	got := a.do("POST", "/v/7?x=1", `{"title":"t"}`, ok...)
	d := <-seen
	if got.status != 200 || got.header.Get("X-Seen") != "yes" {
		t.Fatalf("%+v", got)
	}
	switch {
	case d.Type != encore.APICall, d.Service != "orgs", d.Endpoint != "Create", d.Path != "/v/7", d.Method != "POST",
		d.PathParams.Get("id") != "7", d.Payload.(*validated).Title != "t", time.Since(d.Started) > time.Minute:
		t.Errorf("request: %+v", d)
	case !d.API.Tags.Has("open"), !d.API.AuthRequired, !d.API.Exposed, d.API.Raw:
		t.Errorf("endpoint: %+v", d.API)
	case d.Trace.TraceID != "4bf92f3577b34da6a3ce929d0e0e4736", d.Trace.ParentSpanID != "00f067aa0ba902b7":
		t.Errorf("trace: %+v", d.Trace)
	case d.Headers.Get("X-Encore-Meta-User") != "":
		t.Error("a header that is Encore's own came in from outside")
	}
	if got := a.do("POST", "/v/7", `{"title":"boom"}`, ok...); got.status != 500 || got.header.Get("X-Seen") != "yes" || errs.Code(inner.Err) != errs.Internal {
		t.Errorf("a panic reaches middleware as an error: %+v, %v", got, inner.Err)
	}
	if stack, ok := errs.Meta(inner.Err)["panic"].([]uintptr); !ok || len(stack) == 0 {
		t.Errorf("where it came from is not known: %v", errs.Meta(inner.Err))
	}
	<-seen
	for _, refused := range []answer{a.do("POST", "/v/7", "x", ok...), a.do("POST", "/v/7", "{}", ok...), a.do("POST", "/v/7", "{}")} {
		if refused.status != 400 && refused.status != 401 {
			t.Errorf("%+v", refused)
		}
	}
	if len(seen) != 0 {
		t.Error("middleware saw a call that was refused before it")
	}
	if strings.Count(a.log.String(), `"msg":"request refused"`) != 3 {
		t.Errorf("every refused request has its line: %s", a.log.String())
	}
}

func TestSuccessIsNotLogged(t *testing.T) {
	t.Parallel()
	a := newApp(t, typed("GET", "/x", endText))
	a.do("GET", "/x", "")
	if a.log.String() != "" {
		t.Errorf("the app's middleware logs requests: %s", a.log.String())
	}
	a.do("GET", "/nope-secret?token=secret", "")
	if out := a.log.String(); !strings.Contains(out, `"status":404`) || !strings.Contains(out, `"outcome":"failed"`) || strings.Contains(out, "secret") {
		t.Errorf("got %s", out)
	}
}

func TestAmbientScopeInGoroutines(t *testing.T) {
	t.Parallel()
	release, seen := make(chan struct{}), make(chan string, 1)
	a := newApp(t, tokens, typed("POST", "/go", func(ctx context.Context, _ []any, _ *validated) (*none, error) {
		go func() {
			<-release // the request is over by now
			uid, _ := auth.UserID()
			r := encore.CurrentRequest()
			seen <- string(uid) + " " + r.Endpoint + " " + r.Payload.(*validated).Title + " " + auth.Data().(*user).Name
		}()
		if scope.From(ctx) != scope.Current() {
			t.Error("context and goroutine disagree")
		}
		return nil, nil
	}, access(registry.Auth), named("svc", "Go")))
	if got := a.do("POST", "/go", `{"title":"t"}`, "Authorization: Bearer good"); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	close(release)
	if got := <-seen; got != "u1 Go t Ada" {
		t.Errorf("got %q", got)
	}
	if r := encore.CurrentRequest(); r.Type != encore.None {
		t.Errorf("the test's own goroutine has %+v", r)
	}
}

func TestCurrentRequestIsACopy(t *testing.T) {
	t.Parallel()
	a := newApp(t, raw("GET", "/x", func(_ http.ResponseWriter, _ *http.Request) {
		encore.CurrentRequest().Path = "changed"
		if got := encore.CurrentRequest().Path; got != "/x" {
			t.Errorf("got %q", got)
		}
	}))
	a.do("GET", "/x", "")
}
