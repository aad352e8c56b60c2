//go:build acceptance && local

package acceptance

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"
)

// An issuer that goes away takes nobody's access along: its keys are at hand, and operators are told.
func TestTheKeysOfAnIssuerThatIsAwayServe(t *testing.T) {
	t.Parallel()
	public, err := url.Parse(target.issuer)
	if err != nil {
		t.Fatal(err)
	}
	backChannel := httptest.NewServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: public.Scheme, Host: public.Host}))
	defer backChannel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	app, err := startApp(ctx, appConfig{database: scratch(t), seed: true, unset: []string{"RABBITMQ_URL"},
		env: []string{"OIDC_ISSUER_URL=" + target.issuer, "OIDC_INTERNAL_URL=" + backChannel.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(app.kill)
	type readiness struct {
		Status string
		Parts  map[string]struct{ Status string }
	}
	ready := func() readiness {
		return want[readiness](t, on(app, t, "", "GET", "/readyz", nil), http.StatusOK)
	}
	passes := func() {
		t.Helper()
		if r := on(app, t, signIn(t, bobApp), "GET", "/api/v1/me", nil); r.status != http.StatusOK {
			t.Errorf("got %d %s", r.status, r.body)
		}
	}
	passes()
	if got := ready(); got.Parts["oidc"].Status != "ready" {
		t.Fatalf("before: %+v", got)
	}
	backChannel.Close()
	eventually(t, 20*time.Second, "operators are told", func() bool {
		got := ready()
		return got.Status == "degraded" && got.Parts["oidc"].Status == "unavailable"
	})
	passes() // with a token that nobody has seen
}
