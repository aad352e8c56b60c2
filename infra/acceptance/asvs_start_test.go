//go:build acceptance && local

package acceptance

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A configuration that is not for production does not start there, and says all of what is wrong with it.
func TestAPI8_AnUnsafeProductionDoesNotStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, env := range []string{"staging", "production"} {
		cmd := exec.CommandContext(ctx, must("APP_BINARY"))
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "APP_ENV=" + env, "PORT=0"}
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Fatalf("it started: %s", out)
		}
		for _, part := range []string{"DATABASE_URL", "REDIS_URL", "RABBITMQ_URL", "CERBOS_ADDR", "OIDC_ISSUER_URL", "OBJECT_STORE_URL", "OPS_TOKEN", "AUDIT_SIGNING_KEY", "SINK_SECRETS_KEY"} {
			if !strings.Contains(string(out), part) {
				t.Errorf("%s: %s is not named:\n%s", env, part, out)
			}
		}
		for _, off := range []string{"SENTRY_DSN", "STRIPE_API_KEY", "SETTINGS", "DOCS", "CERBOS_CA"} {
			if strings.Contains(string(out), off) {
				t.Errorf("%s: %s is demanded, and may be off:\n%s", env, off, out)
			}
		}
	}
}

// What operators measure is for them: with OPS_TOKEN set nobody else reads it. Failed sign-ins are in the
// log, and what was shown is not.
func TestASVS_13_4_5_16_3_1_MetricsAreGuardedAndFailedSignInsLogged(t *testing.T) {
	t.Parallel()
	const guard, forged = "a-token-for-operators-alone", "canary0forged.canary0forged.canary0forged"
	log := logOf(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := startApp(ctx, appConfig{database: must("DATABASE_URL"), log: log, env: []string{"OPS_TOKEN=" + guard}, unset: []string{"RABBITMQ_URL"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	to := func(path string) func(*http.Request) {
		return func(r *http.Request) {
			u, err := url.Parse(a.base + path)
			if err != nil {
				t.Fatal(err)
			}
			r.URL, r.Host = u, u.Host
		}
	}
	for bearer, status := range map[string]int{"": 401, "wrong": 401, adaApp.token(t): 401, guard: 200} {
		if r := call(t, bearer, "GET", "/metrics", nil, to("/metrics")); r.status != status {
			t.Errorf("%.8s…: %d, want %d", bearer, r.status, status)
		}
	}
	r := call(t, forged, "GET", "/api/v1/me", nil, to("/api/v1/me"), func(r *http.Request) { r.Header.Set("X-Request-ID", "forged-sign-in") })
	wantFailure(t, r, http.StatusUnauthorized, "token_malformed")
	text := ""
	eventually(t, 10*time.Second, "the refusal is logged", func() bool {
		all, err := os.ReadFile(log.Name())
		if err != nil {
			t.Fatal(err)
		}
		text = string(all)
		return strings.Contains(text, "forged-sign-in")
	})
	if strings.Contains(text, "canary0forged") || strings.Contains(text, guard) {
		t.Error("a credential is in the log")
	}
}
