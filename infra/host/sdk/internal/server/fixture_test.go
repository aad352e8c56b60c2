//go:build stockhost

package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/internal/registry"
)

// logs collects what the server writes.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// app is a registry and a server of it, for one test.
type app struct {
	reg    registry.Registry
	config Config
	log    logs
	server *Server
}

// newApp makes an app that has what the options add.
func newApp(t testing.TB, options ...func(*app)) *app {
	t.Helper()
	a := &app{}
	a.config = Config{Registry: &a.reg, Log: zerolog.New(&a.log)}
	for _, o := range options {
		o(a)
	}
	s, err := New(a.config)
	if err != nil {
		t.Fatal(err)
	}
	s.SetReady()
	a.server = s
	return a
}

// typed adds a typed endpoint. Req and Resp may be struct{} for none.
func typed[Req, Resp any](method, path string, fn func(ctx context.Context, path []any, req *Req) (*Resp, error), change ...func(*registry.Endpoint)) func(*app) {
	return func(a *app) {
		e := &registry.Endpoint{
			Service: "svc", Name: method + " " + path, Access: registry.Public,
			Methods: strings.Split(method, ","), Path: path, Params: paramsOf(path),
			Request: structType[Req](), Response: structType[Resp](),
		}
		e.Call = func(ctx context.Context, path []any, req any) (any, error) {
			r, _ := req.(*Req)
			resp, err := fn(ctx, path, r)
			if err != nil || resp == nil || e.Response == nil {
				return nil, err
			}
			return resp, nil
		}
		for _, c := range change {
			c(e)
		}
		a.reg.AddEndpoint(e)
	}
}

func structType[T any]() reflect.Type {
	if t := reflect.TypeFor[T](); t.NumField() > 0 {
		return t
	}
	return nil
}

// raw adds a raw endpoint.
func raw(method, path string, fn http.HandlerFunc, change ...func(*registry.Endpoint)) func(*app) {
	return func(a *app) {
		e := &registry.Endpoint{
			Service: "svc", Name: "raw " + method + " " + path, Access: registry.Public, Raw: true,
			Methods: strings.Split(method, ","), Path: path, Params: paramsOf(path), Handle: fn,
		}
		for _, c := range change {
			c(e)
		}
		a.reg.AddEndpoint(e)
	}
}

func paramsOf(path string) (params []registry.Param) {
	for seg := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if strings.ContainsAny(seg[:1], ":*!") {
			params = append(params, registry.Param{Name: seg[1:]})
		}
	}
	return params
}

func access(a registry.Access) func(*registry.Endpoint) {
	return func(e *registry.Endpoint) { e.Access = a }
}

func named(service, name string, tags ...string) func(*registry.Endpoint) {
	return func(e *registry.Endpoint) { e.Service, e.Name, e.Tags = service, name, tags }
}

func kinds(ks ...registry.ParamKind) func(*registry.Endpoint) {
	return func(e *registry.Endpoint) {
		for i, k := range ks {
			e.Params[i].Kind = k
		}
	}
}

// user is the auth data of the tests.
type user struct {
	Name string `json:"name"`
}

// tokens is an auth handler that knows four tokens.
func tokens(a *app) {
	a.reg.SetAuthHandler(&registry.AuthHandler{
		Service: "svc", Name: "Auth", Data: reflect.TypeFor[user](),
		Call: func(_ context.Context, params any) (auth.UID, any, error) {
			switch params {
			case "good":
				return "u1", &user{"Ada"}, nil
			case "expired":
				return "", nil, errs.B().Code(errs.Unauthenticated).Msg("expired").Err()
			case "down":
				return "", nil, errs.B().Code(errs.Unavailable).Msg("no keys").Err()
			case "panic":
				panic("secret of the auth handler")
			}
			return "", nil, io.ErrUnexpectedEOF
		},
	})
}

// answer is what a test looks at.
type answer struct {
	status int
	header http.Header
	body   string
}

// errorBody reads the body of an error.
func (a answer) errorBody(t *testing.T) (e struct {
	Code, Message string
	Details       problem
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("%d %q: %v", a.status, a.body, err)
	}
	return e
}

// do sends a request. headers are "Name: value".
func (a *app) do(method, url, body string, headers ...string) answer {
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, url, rd)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	a.server.ServeHTTP(w, r)
	return answer{w.Code, w.Result().Header, w.Body.String()}
}

type none struct{}
