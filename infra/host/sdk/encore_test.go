//go:build stockhost

package encore

import (
	"testing"

	"encore.dev/internal/appinfo"
	"encore.dev/internal/scope"
)

func TestEnvironment(t *testing.T) {
	t.Parallel()
	for env, want := range map[appinfo.Env]EnvironmentMeta{
		appinfo.Dev:        {"dev", EnvDevelopment, CloudLocal},
		appinfo.Test:       {"test", EnvTest, CloudLocal},
		appinfo.Staging:    {"staging", EnvProduction, CloudLocal},
		appinfo.Production: {"production", EnvProduction, CloudLocal},
	} {
		if got := environment(env); got != want {
			t.Errorf("%s: %+v", env, got)
		}
	}
	if m := Meta(); m.Environment.Type != EnvTest || m.APIBaseURL.Scheme != "http" {
		t.Errorf("in a test: %+v", m)
	}
	if _, err := appinfo.ParseEnv("prod"); err == nil {
		t.Error("an unknown environment was taken")
	}
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[[2]string]string{
		{"", ""}: "http://localhost:8080", {"", "4000"}: "http://localhost:4000", {"https://api.example.com/x", "4000"}: "https://api.example.com/x",
	} {
		u := baseURL(in[0], in[1])
		if got := u.String(); got != want {
			t.Errorf("%v: %s", in, got)
		}
	}
}

func TestCurrentRequest(t *testing.T) {
	t.Parallel()
	if r := CurrentRequest(); r == nil || r.Type != None {
		t.Fatalf("outside a request: %+v", r)
	}
	s := &scope.Scope{Req: &Request{Type: PubSubMessage, PathParams: PathParams{{"id", "7"}}, API: &APIDesc{Tags: Tags{"a"}}}}
	_, before := scope.Enter(t.Context(), s)
	defer before.Leave()
	r := CurrentRequest()
	if r.Type != PubSubMessage || r.PathParams.Get("id") != "7" || r.PathParams.Get("x") != "" || !r.API.Tags.Has("a") || r.API.Tags.Has("b") {
		t.Errorf("%+v", r)
	}
}
