//go:build stockhost

package server

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	encore "encore.dev"
	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/internal/registry"
	"encore.dev/internal/scope"
	"encore.dev/middleware"
)

type msg struct {
	Text  string   `json:"text"`
	List  []string `json:"list"`
	Gone  string   `json:"-"`
	Trace string   `header:"X-Trace"`
	inner string
}

// detail is what a callee's error tells.
type detail struct{ N int }

func (detail) ErrDetails() {}

var errDeep = errors.New("deep")

func callee(_ context.Context, path []any, m *msg) (*msg, error) {
	switch m.Text {
	case "app error":
		return nil, errs.B().Code(errs.NotFound).Msg("no").Details(detail{1}).Meta("k", 2).Cause(errDeep).Err()
	case "plain error":
		return nil, errDeep
	case "panic":
		panic("secret")
	case "nil":
		return nil, nil
	}
	r := encore.CurrentRequest()
	uid, _ := auth.UserID()
	m.List = append(m.List, r.Service+"."+r.Endpoint, r.Path, r.PathParams.Get("id"), string(uid), path[0].(string))
	m.Gone, m.inner = "set", "set"
	return m, nil
}

func callApp(t *testing.T) *app {
	return newApp(t, tokens, wrap(true, 1, func(r middleware.Request, next middleware.Next) middleware.Response {
		resp := next(r)
		if m, ok := resp.Payload.(*msg); ok {
			m.List = append(m.List, "middleware")
		}
		return resp
	}), typed("POST", "/c/:id", callee, access(registry.Auth), named("callee", "Do")),
		typed("POST", "/v", func(context.Context, []any, *validated) (*none, error) { return nil, nil }, named("callee", "Check")),
		raw("GET", "/raw", echoPath, named("callee", "Raw")))
}

func TestCallCopiesAndDescribes(t *testing.T) {
	t.Parallel()
	a := callApp(t)
	req := &msg{Text: "hi", List: []string{"mine"}, Gone: "lost", Trace: "kept", inner: "lost"}
	caller := &scope.Scope{Service: "caller", UID: "u1", AuthData: &user{"Ada"}, RequestID: "r1", TraceID: "t1", SpanID: "s1"}
	scope.Run(t.Context(), caller, func(ctx context.Context) {
		got, err := a.server.Call(ctx, "callee", "Do", []any{"7"}, req)
		if err != nil {
			t.Fatal(err)
		}
		want := &msg{Text: "hi", Trace: "kept", List: []string{"mine", "callee.Do", "/c/7", "7", "u1", "7", "middleware"}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
		if len(req.List) != 1 || scope.Current() != caller {
			t.Errorf("the callee reached the caller's payload or scope: %+v", req)
		}
	})
	// The caller's scope is found even where the context has been left behind.
	scope.Run(t.Context(), caller, func(context.Context) {
		got, err := a.server.Call(context.Background(), "callee", "Do", []any{"7"}, req)
		if err != nil || got.(*msg).List[4] != "u1" {
			t.Errorf("%+v %v", got, err)
		}
	})
}

func TestCallErrorsAreFlattened(t *testing.T) {
	t.Parallel()
	a := callApp(t)
	for text, want := range map[string]struct {
		code    errs.ErrCode
		message string
	}{
		"app error":   {errs.NotFound, "no"},
		"plain error": {errs.Unknown, "an internal error occurred"},
		"panic":       {errs.Internal, "an internal error occurred"},
	} {
		got, err := a.server.Call(t.Context(), "callee", "Do", []any{"7"}, &msg{Text: text})
		var e *errs.Error
		if got != nil || !errors.As(err, &e) || e.Code != want.code || e.Message != want.message || errors.Is(err, errDeep) {
			t.Errorf("%s: %v %#v", text, got, err)
		}
		if text == "app error" && (e.Details != detail{1} || e.Meta["k"] != 2) {
			t.Errorf("details and metadata must be kept: %#v", e)
		}
	}
	if out := a.log.String(); strings.Count(out, `"error":"deep"`) != 1 || strings.Count(out, `"panic":"secret"`) != 1 {
		t.Errorf("the real errors are logged once: %s", out)
	}
}

func TestCallEdges(t *testing.T) {
	t.Parallel()
	a := callApp(t)
	got, err := a.server.Call(t.Context(), "callee", "Do", []any{"7"}, &msg{Text: "nil"})
	if m, ok := got.(*msg); err != nil || !ok || m != nil {
		t.Errorf("a nil response must stay one: %#v %v", got, err)
	}
	if _, err := a.server.Call(t.Context(), "callee", "Check", nil, &validated{}); errs.Code(err) != errs.InvalidArgument {
		t.Errorf("Validate runs between services too: %v", err)
	}
	if _, err := a.server.Call(t.Context(), "callee", "Check", nil, (*validated)(nil)); errs.Code(err) != errs.InvalidArgument {
		t.Errorf("a nil request is an empty one: %v", err)
	}
	for _, endpoint := range []string{"Raw", "Nope"} {
		if _, err := a.server.Call(t.Context(), "callee", endpoint, nil, nil); errs.Code(err) != errs.Unimplemented {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}

func TestCallOnBehalfOfAnother(t *testing.T) {
	t.Parallel()
	a := callApp(t)
	caller := &scope.Scope{UID: "u1", AuthData: &user{"Ada"}}
	for name, tc := range map[string]struct {
		uid  auth.UID
		data any
		ok   bool
	}{
		"another":       {"u2", &user{"Bob"}, true},
		"nobody":        {"", nil, true},
		"no data":       {"u2", nil, false},
		"nil data":      {"u2", (*user)(nil), false},
		"other type":    {"u2", &msg{}, false},
		"not a pointer": {"u2", user{"Bob"}, false},
	} {
		scope.Run(t.Context(), caller, func(ctx context.Context) {
			got, err := a.server.Call(auth.WithContext(ctx, tc.uid, tc.data), "callee", "Do", []any{"7"}, &msg{})
			if (err == nil) != tc.ok {
				t.Errorf("%s: %v", name, err)
			}
			if tc.ok && got.(*msg).List[3] != string(tc.uid) {
				t.Errorf("%s: called for %q", name, got.(*msg).List[3])
			}
			if uid, _ := auth.UserID(); uid != "u1" {
				t.Errorf("%s: the caller became %q", name, uid)
			}
		})
	}
}
