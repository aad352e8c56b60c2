//go:build stockhost

package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"encore.dev/internal/registry"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	sick := map[string]error{}
	a := newApp(t, func(a *app) { a.config.Health = func(context.Context) map[string]error { return sick } }, raw("GET", "/x", echoPath))
	ask := func() (int, healthAnswer) {
		got := a.do("GET", "/__encore/healthz", "")
		var h healthAnswer
		if err := json.Unmarshal([]byte(got.body), &h); err != nil {
			t.Fatal(err)
		}
		return got.status, h
	}
	if status, h := ask(); status != 200 || h.Code != "ok" || h.Details.EnvName != "test" || len(h.Details.Checks) != 2 {
		t.Errorf("%d %+v", status, h)
	}
	sick["broker"] = errors.New("amqp://user:hunter2@host")
	status, h := ask()
	if status != 500 || h.Code != "unhealthy" || (h.Details.Checks[0] != healthCheck{"broker", false}) {
		t.Errorf("%d %+v", status, h)
	}
	if body := a.do("GET", "/__encore/healthz", "").body; strings.Contains(body, "hunter2") {
		t.Errorf("the cause leaks: %s", body)
	}
	delete(sick, "broker")
	a.server.SetStopping()
	if status, _ := ask(); status != 500 {
		t.Error("healthy while it stops")
	}
	if got := a.do("GET", "/x", ""); got.status != 200 {
		t.Errorf("requests are still served while it stops: %d", got.status)
	}
}

func TestBeforeItIsReady(t *testing.T) {
	t.Parallel()
	a := &app{}
	raw("GET", "/x", echoPath)(a)
	var err error
	if a.server, err = New(Config{Registry: &a.reg}); err != nil {
		t.Fatal(err)
	}
	got := a.do("GET", "/x", "")
	if got.status != 503 || got.errorBody(t).Details.Reason != reasonUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("%+v", got)
	}
	if got := a.do("GET", "/__encore/healthz", ""); got.status != 500 {
		t.Errorf("healthy before it is ready: %d", got.status)
	}
	a.server.SetReady()
	if got := a.do("GET", "/x", ""); got.status != 200 {
		t.Errorf("%+v", got)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	withMetrics := func(a *app) { a.config.Registerer, a.config.Gatherer = reg, reg }
	a := newApp(t, withMetrics, typed("GET", "/x", endText, named("svc", "X")), typed("POST", "/x", endText, named("svc", "Y"), access(registry.Auth)))
	a.do("GET", "/x", "")
	a.do("POST", "/x", "")
	a.do("GET", "/nope", "")
	got := a.do("GET", "/metrics", "")
	for _, line := range []string{
		`host_http_request_duration_seconds_count{code="2xx",endpoint="X",service="svc"} 1`,
		`host_http_request_duration_seconds_count{code="4xx",endpoint="Y",service="svc"} 1`,
		`host_http_request_duration_seconds_count{code="4xx",endpoint="",service=""} 1`,
	} {
		if !strings.Contains(got.body, line) {
			t.Errorf("no %s", line)
		}
	}
	own := newApp(t, withMetrics, raw("GET", "/metrics", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "mine") }))
	if got := own.do("GET", "/metrics", ""); got.body != "mine" {
		t.Errorf("the app's own goes first: %s", got.body)
	}
}

func TestOpsOnly(t *testing.T) {
	t.Parallel()
	a := newApp(t, func(a *app) { a.config.OpsOnly = true }, raw("GET", "/x", echoPath), raw("GET", "/readyz", echoPath))
	for path, want := range map[string]int{"/x": 404, "/readyz": 200, "/__encore/healthz": 200} {
		if got := a.do("GET", path, ""); got.status != want {
			t.Errorf("%s: %d, want %d", path, got.status, want)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	a := newApp(t, func(a *app) {
		a.config.CredentialedOrigins = []string{"https://console.example.com", "https://*.apps.example.com"}
		a.reg.SetApp(registry.App{CORS: registry.CORS{
			AllowHeaders: []string{"Idempotency-Key"}, ExposeHeaders: []string{"RateLimit"},
			AllowOriginsWithoutCredentials: []string{"https://public.example.com"},
		}})
	}, typed("GET", "/q", func(context.Context, []any, *queryReq) (*richResp, error) { return &richResp{}, nil }))
	const preflight = "Access-Control-Request-Method: GET"
	for _, tc := range []struct {
		name, method, origin string
		headers              []string
		allowed, credentials bool
	}{
		{"listed", "GET", "https://console.example.com", nil, true, true},
		{"any case", "GET", "https://Console.Example.com", nil, true, true},
		{"glob", "GET", "https://a.apps.example.com", nil, true, true},
		{"glob stays in the host", "GET", "https://evil.test/.apps.example.com", nil, false, false},
		{"glob needs something", "GET", "https://.apps.example.com", nil, false, false},
		{"suffix of the host", "GET", "https://evilconsole.example.com", nil, false, false},
		{"scheme", "GET", "http://console.example.com", nil, false, false},
		{"null", "GET", "null", nil, false, false},
		{"plain", "GET", "https://public.example.com", nil, true, false},
		{"plain with a token", "GET", "https://public.example.com", []string{"Authorization: Bearer x"}, false, false},
		{"plain with a cookie", "GET", "https://public.example.com", []string{"Cookie: a=b"}, false, false},
		{"unknown", "GET", "https://other.test", nil, false, false},
		{"preflight", "OPTIONS", "https://console.example.com", []string{preflight, "Access-Control-Request-Headers: authorization, idempotency-key, x-mark, accept-language"}, true, true},
		{"preflight, unknown header", "OPTIONS", "https://console.example.com", []string{preflight, "Access-Control-Request-Headers: x-other"}, false, false},
		{"preflight, plain", "OPTIONS", "https://public.example.com", []string{preflight}, true, false},
		{"preflight, plain with a token", "OPTIONS", "https://public.example.com", []string{preflight, "Access-Control-Request-Headers: authorization"}, false, false},
		{"preflight, unknown", "OPTIONS", "https://other.test", []string{preflight}, false, false},
	} {
		got := a.do(tc.method, "/q", "", append(tc.headers, "Origin: "+tc.origin)...)
		origin, credentials := got.header.Get("Access-Control-Allow-Origin"), got.header.Get("Access-Control-Allow-Credentials")
		if (origin == tc.origin) != tc.allowed || (origin == "") == tc.allowed || (credentials == "true") != tc.credentials {
			t.Errorf("%s: origin %q, credentials %q", tc.name, origin, credentials)
		}
		if got.header.Values("Vary")[0] != "Origin" {
			t.Errorf("%s: Vary %q", tc.name, got.header.Values("Vary"))
		}
		if tc.method == "OPTIONS" && (got.status != 204 || (got.header.Get("Access-Control-Allow-Methods") == "GET") != tc.allowed) {
			t.Errorf("%s: %d, methods %q", tc.name, got.status, got.header.Get("Access-Control-Allow-Methods"))
		}
		if exposed := got.header.Get("Access-Control-Expose-Headers"); tc.allowed && tc.method == "GET" &&
			(!strings.Contains(exposed, "RateLimit") || !strings.Contains(exposed, "X-Left") || !strings.Contains(exposed, "X-Request-Id")) {
			t.Errorf("%s: exposed %q", tc.name, exposed)
		}
	}
	for _, origin := range []string{"*", "console.example.com", "https://", "https://a/b", "https://*.*.x"} {
		if _, err := New(Config{Registry: &registry.Registry{}, CredentialedOrigins: []string{origin}}); err == nil {
			t.Errorf("%q was taken", origin)
		}
	}
}

func TestLimitsFromEnv(t *testing.T) {
	t.Parallel()
	env := map[string]string{"HOST_READ_TIMEOUT": "1s", "HOST_BODY_LIMIT": "7"}
	l, err := LimitsFromEnv(func(k string) string { return env[k] })
	if err != nil || l.Read.Seconds() != 1 || l.Body != 7 || l.orDefaults().Write != defaultWrite {
		t.Errorf("%+v %v", l, err)
	}
	for _, k := range []string{"HOST_READ_HEADER_TIMEOUT", "HOST_READ_TIMEOUT", "HOST_WRITE_TIMEOUT", "HOST_IDLE_TIMEOUT", "HOST_HANDLER_TIMEOUT", "HOST_BODY_LIMIT"} {
		for _, v := range []string{"x", "-1", "0"} {
			_, err := LimitsFromEnv(func(name string) string { return map[string]string{k: v}[name] })
			if err == nil || !strings.Contains(err.Error(), k) {
				t.Errorf("%s=%s: %v", k, v, err)
			}
		}
	}
}
