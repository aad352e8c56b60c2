//go:build stockhost

package server

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"encore.dev/beta/auth"
	"encore.dev/internal/registry"
)

type whoResp struct {
	UID  string `json:"uid"`
	Name string `json:"name"`
}

// who answers with the caller that the ambient functions see.
func who(context.Context, []any, *none) (*whoResp, error) {
	uid, ok := auth.UserID()
	if !ok && uid != "" {
		panic("a uid without a user")
	}
	resp := &whoResp{UID: string(uid)}
	if u, ok := auth.Data().(*user); ok {
		resp.Name = u.Name
	}
	return resp, nil
}

func rawWho(w http.ResponseWriter, _ *http.Request) {
	resp, _ := who(context.Background(), nil, nil)
	_, _ = io.WriteString(w, `{"uid":"`+resp.UID+`","name":"`+resp.Name+`"}`)
}

func TestAuthTable(t *testing.T) {
	t.Parallel()
	a := newApp(t, tokens,
		typed("GET", "/auth", who, access(registry.Auth)), typed("GET", "/public", who),
		raw("GET", "/raw/auth", rawWho, access(registry.Auth)), raw("GET", "/raw/public", rawWho),
	)
	const (
		known  = `{"uid":"u1","name":"Ada"}`
		nobody = `{"uid":"","name":""}`
		own    = `"reason":"unauthenticated"`
	)
	for _, tc := range []struct {
		name, header string
		authStatus   int
		authBody     string
		publicStatus int
		publicBody   string
	}{
		{"none", "", 401, own, 200, nobody},
		{"empty", "Authorization: ", 401, own, 200, nobody},
		{"good", "Authorization: Bearer good", 200, known, 200, known},
		{"good, any case", "Authorization: bearer good", 200, known, 200, known},
		{"good, other scheme", "Authorization: Token good", 200, known, 200, known},
		{"not a token", "Authorization: Basic good", 401, own, 200, nobody},
		{"no scheme", "Authorization: good", 401, own, 200, nobody},
		{"scheme alone", "Authorization: Bearer ", 401, own, 200, nobody},
		{"unauthenticated", "Authorization: Bearer expired", 401, `{"code":"unauthenticated","message":"expired","details":null}`, 200, nobody},
		{"other error", "Authorization: Bearer down", 503, `"message":"no keys"`, 503, `"message":"no keys"`},
		{"plain error", "Authorization: Bearer plain", 500, `"code":"unknown","message":"an internal error occurred"`, 500, `"code":"unknown"`},
		{"panic", "Authorization: Bearer panic", 500, `"code":"internal","message":"an internal error occurred"`, 500, `"code":"internal"`},
	} {
		for _, prefix := range []string{"", "/raw"} {
			t.Run(tc.name+prefix, func(t *testing.T) {
				t.Parallel()
				var headers []string
				if tc.header != "" {
					headers = []string{tc.header}
				}
				if got := a.do("GET", prefix+"/auth", "", headers...); got.status != tc.authStatus || !strings.Contains(got.body, tc.authBody) {
					t.Errorf("auth: %d %s, want %d %s", got.status, got.body, tc.authStatus, tc.authBody)
				} else if (got.header.Get("WWW-Authenticate") == "Bearer") != (got.status == 401) {
					t.Errorf("auth: WWW-Authenticate is %q", got.header.Get("WWW-Authenticate"))
				}
				if got := a.do("GET", prefix+"/public", "", headers...); got.status != tc.publicStatus || !strings.Contains(got.body, tc.publicBody) {
					t.Errorf("public: %d %s, want %d %s", got.status, got.body, tc.publicStatus, tc.publicBody)
				}
			})
		}
	}
	if got := a.do("GET", "/auth", "", "Authorization: Bearer good", "Authorization: Bearer good"); got.status != 401 {
		t.Errorf("two Authorization headers: %d", got.status)
	}
}

func TestAuthErrorsDoNotLeak(t *testing.T) {
	t.Parallel()
	a := newApp(t, tokens, typed("GET", "/auth", who, access(registry.Auth)))
	for _, token := range []string{"plain", "panic"} {
		if got := a.do("GET", "/auth", "", "Authorization: Bearer "+token); strings.Contains(got.body, "EOF") || strings.Contains(got.body, "secret") {
			t.Errorf("%s: %s", token, got.body)
		}
	}
	if out := a.log.String(); strings.Count(out, "unexpected EOF") != 1 || strings.Count(out, `"panic":"secret of the auth handler"`) != 1 {
		t.Errorf("each is logged once: %s", out)
	}
}

func TestAuthEndpointWithoutHandler(t *testing.T) {
	t.Parallel()
	a := newApp(t, typed("GET", "/auth", who, access(registry.Auth)))
	if got := a.do("GET", "/auth", "", "Authorization: Bearer good"); got.status != 401 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAccessGoesBeforeDecode(t *testing.T) {
	t.Parallel()
	a := newApp(t, tokens, typed("POST", "/auth/:n", func(context.Context, []any, *validated) (*none, error) { return nil, nil },
		access(registry.Auth), kinds(registry.Int)))
	if got := a.do("POST", "/auth/x", "garbage"); got.status != 401 {
		t.Errorf("%d %s: a stranger learns nothing of the payload", got.status, got.body)
	}
	if got := a.do("POST", "/auth/x", "garbage", "Authorization: Bearer good"); got.status != 400 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

type authParams struct {
	Key     string       `header:"X-Key"`
	Trial   int          `query:"trial"`
	Session *http.Cookie `cookie:"session"`
	Theme   string       `cookie:"theme"`
}

func (p *authParams) Validate() error {
	if p.Key == "short" {
		return io.ErrShortBuffer
	}
	return nil
}

func TestAuthParams(t *testing.T) {
	t.Parallel()
	calls := make(chan authParams, 100)
	a := newApp(t, func(a *app) {
		a.reg.SetAuthHandler(&registry.AuthHandler{
			Service: "svc", Name: "Auth", Params: reflect.TypeFor[authParams](),
			Call: func(_ context.Context, params any) (auth.UID, any, error) {
				p := *params.(*authParams)
				calls <- p
				if p.Session != nil {
					return auth.UID(p.Session.Value), nil, nil
				}
				return auth.UID(p.Key + p.Theme), nil, nil
			},
		})
	}, typed("GET", "/auth", who, access(registry.Auth)), typed("GET", "/public", who))
	for _, tc := range []struct {
		name, url string
		headers   []string
		status    int
		body      string
		called    int
	}{
		{"nothing", "/public", nil, 200, `"uid":""`, 0},
		{"nothing, auth", "/auth", nil, 401, reasonUnauthenticated, 0},
		{"all empty", "/auth?other=1", []string{"X-Key: ", "Cookie: theme="}, 401, reasonUnauthenticated, 0},
		{"header", "/auth", []string{"X-Key: k"}, 200, `"uid":"k"`, 1},
		{"cookie", "/auth", []string{"Cookie: theme=dark"}, 200, `"uid":"dark"`, 1},
		{"whole cookie", "/auth", []string{"Cookie: session=s1"}, 200, `"uid":"s1"`, 1},
		{"query", "/auth?trial=1", nil, 401, reasonUnauthenticated, 1}, // accepted, but nobody
		{"unparsable", "/public?trial=x", nil, 400, `"field":"trial"`, 0},
		{"Validate", "/public", []string{"X-Key: short"}, 400, "validation failed: short buffer", 0},
	} {
		got := a.do("GET", tc.url, "", tc.headers...)
		if got.status != tc.status || !strings.Contains(got.body, tc.body) || len(calls) != tc.called {
			t.Errorf("%s: %d %s after %d calls, want %d %s after %d", tc.name, got.status, got.body, len(calls), tc.status, tc.body, tc.called)
		}
		for len(calls) > 0 {
			<-calls
		}
	}
}
