package issuer_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
)

// TestDiscovery lets an OpenID Connect library find its way, and asks every endpoint
// that the document names.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	provider, err := oidc.NewProvider(t.Context(), b.URL())
	if err != nil {
		t.Fatal(err)
	}
	a := b.password(t, "app", "ada@acme.test", "scope", "openid")
	if _, err := provider.VerifierContext(t.Context(), &oidc.Config{ClientID: "app", Now: b.clock.Now}).Verify(t.Context(), a.text("id_token")); err != nil {
		t.Errorf("ID token: %v", err)
	}
	var document map[string]any
	if err := provider.Claims(&document); err != nil {
		t.Fatal(err)
	}
	for name, value := range document {
		address, _ := value.(string)
		if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
			continue
		}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := b.server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode == http.StatusNotFound || response.StatusCode >= 500 {
				t.Errorf("%s %s: %d", method, name, response.StatusCode)
			}
		}
	}
}

func TestCertsShowNoPrivateKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+protocol+"/certs", nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := b.do(t, r).body["keys"].([]any)
	if len(keys) != 2 {
		t.Fatalf("%d keys after one rotation, want 2", len(keys))
	}
	for _, one := range keys {
		key, _ := one.(map[string]any)
		if key["kty"] != "RSA" || key["use"] != "sig" || key["alg"] != "RS256" || key["d"] != nil || key["k"] != nil {
			t.Errorf("%v", key)
		}
	}
}

func TestUserinfo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.password(t, "app", "ada@acme.test", "scope", "openid organization")
	got := b.userinfo(t, a.text("access_token"))
	if got.status != http.StatusOK || got.text("sub") != "00000000-0000-7000-8000-000000000104" || got.text("email") != "ada@acme.test" || got.body["organization"] == nil {
		t.Errorf("%+v", got)
	}
	for name, raw := range map[string]string{"ID token": a.text("id_token"), "refresh token": a.text("refresh_token"), "garbage": "x", "nothing": ""} {
		if got := b.userinfo(t, raw); got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := b.userinfo(t, b.password(t, "app", "ada@acme.test").text("access_token")); got.status != http.StatusForbidden {
		t.Errorf("without openid: %+v", got)
	}
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	service := []string{"client_id", "tenantry-provisioner", "client_secret", "demo-provisioner"}
	introspect := func(raw string) answer {
		return b.post(t, "/token/introspect", append(service, "token", raw)...)
	}
	own := b.post(t, "/token", append(service, "grant_type", "client_credentials")...).text("access_token")
	if got := introspect(own); got.body["active"] != true || got.text("client_id") != "tenantry-provisioner" {
		t.Errorf("%+v", got)
	}
	for name, raw := range map[string]string{"not for it": b.password(t, "app", "ada@acme.test").text("access_token"), "garbage": "x"} {
		if got := introspect(raw); got.body["active"] != false || len(got.body) != 1 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := b.post(t, "/token/introspect", "client_id", "app", "token", own); got.status != http.StatusForbidden {
		t.Errorf("public client: %+v", got)
	}
	b.post(t, "/revoke", append(service, "token", own)...)
	if got := introspect(own); got.body["active"] != false {
		t.Errorf("revoked: %+v", got)
	}
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.password(t, "app", "ada@acme.test", "scope", "openid")
	if got := b.post(t, "/revoke", "client_id", "org-console", "token", a.text("refresh_token")); got.status != http.StatusBadRequest {
		t.Errorf("another client's token: %+v", got)
	}
	if got := b.post(t, "/revoke", "client_id", "app", "token", "unknown"); got.status != http.StatusOK {
		t.Errorf("unknown token: %+v", got)
	}
	if got := b.userinfo(t, a.text("access_token")); got.status != http.StatusOK {
		t.Fatalf("%+v", got)
	}
	if got := b.post(t, "/revoke", "client_id", "app", "token", a.text("refresh_token")); got.status != http.StatusOK {
		t.Errorf("%+v", got)
	}
	if got := b.userinfo(t, a.text("access_token")); got.status != http.StatusUnauthorized {
		t.Errorf("the session goes with its refresh token: %+v", got)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for origin, allowed := range map[string]bool{"http://localhost:3000": true, "https://evil.example": false, "null": false} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, b.server.URL+protocol+"/token", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", http.MethodPost)
		response, err := b.server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("Access-Control-Allow-Origin"); (got == origin) != allowed || !allowed && got != "" {
			t.Errorf("%s: allowed %q", origin, got)
		}
	}
}
