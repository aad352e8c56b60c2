package issuer_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"encore.app/identity/token"
	"encore.app/infra/devstack/issuer"
)

func TestRefusesToServeOutsideDevelopment(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"staging", "production", "Production", "prod"} {
		if _, err := issuer.New(issuer.Config{RealmFiles: realmFiles, BaseURL: "http://127.0.0.1:8180", AppEnv: env}); err == nil {
			t.Errorf("APP_ENV %s: no error", env)
		}
	}
	if _, err := issuer.New(issuer.Config{BaseURL: "http://127.0.0.1:8180"}); err == nil {
		t.Error("no realm file: no error")
	}
	if _, err := issuer.New(issuer.Config{RealmFiles: realmFiles, BaseURL: "127.0.0.1"}); err == nil {
		t.Error("no URL: no error")
	}
}

func TestPasswordGrantClaims(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := float64(b.clock.Now().Unix())
	a := b.password(t, "admin-console", "root@tenantry.test", "scope", "openid")
	if a.status != http.StatusOK || a.text("token_type") != "Bearer" || a.text("scope") != "openid email profile" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%+v", a)
	}
	access := claimsOf(t, a.text("access_token"))
	for _, fresh := range []string{"jti", "sid"} {
		if s, _ := access[fresh].(string); s == "" {
			t.Errorf("no %s", fresh)
		}
		delete(access, fresh)
	}
	want := map[string]any{
		"exp": now + 300, "iat": now, "auth_time": now, "iss": b.URL(), "aud": "tenantry-admin",
		"sub": "00000000-0000-7000-8000-000000000101", "typ": "Bearer", "azp": "admin-console", "acr": "1", "amr": []any{"pwd"},
		"allowed-origins": []any{"http://127.0.0.1:3000", "http://localhost:3000", "http://127.0.0.1:4000"},
		"realm_access":    map[string]any{"roles": []any{"platform_admin"}},
		"scope":           "openid email profile", "email": "root@tenantry.test", "email_verified": true,
		"name": "Root Tenantry", "given_name": "Root", "family_name": "Tenantry", "preferred_username": "root@tenantry.test",
	}
	if !reflect.DeepEqual(access, want) {
		t.Errorf("access token\ngot  %v\nwant %v", access, want)
	}
	if h := headerOf(t, a.text("access_token")); h["typ"] != "at+jwt" || h["alg"] != "RS256" || h["kid"] == nil {
		t.Errorf("access token header %v", h)
	}
	id := claimsOf(t, a.text("id_token"))
	if id["typ"] != "ID" || id["aud"] != "admin-console" || id["at_hash"] == nil || id["realm_access"] != nil {
		t.Errorf("ID token %v", id)
	}
	refresh := claimsOf(t, a.text("refresh_token"))
	if refresh["typ"] != "Refresh" || refresh["aud"] != b.URL() || headerOf(t, a.text("refresh_token"))["alg"] != "HS512" {
		t.Errorf("refresh token %v", refresh)
	}
}

func TestPasswordGrantScopes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tests := map[string]struct {
		client, user, scope string
		organization        any
		refused             string
	}{
		"nobody asked":          {client: "app", user: "ada@acme.test"},
		"the only one":          {client: "app", user: "ada@acme.test", scope: "organization", organization: []any{"acme"}},
		"one of several":        {client: "app", user: "bob@acme.test", scope: "organization"},
		"all":                   {client: "app", user: "bob@acme.test", scope: "organization:*", organization: []any{"acme", "globex"}},
		"a named one":           {client: "org-console", user: "bob@acme.test", scope: "openid organization:globex", organization: []any{"globex"}},
		"not a member":          {client: "app", user: "eve@globex.test", scope: "organization:acme"},
		"member of none":        {client: "app", user: "mallory@nowhere.test", scope: "organization:*"},
		"unknown scope":         {client: "app", user: "ada@acme.test", scope: "admin", refused: "invalid_scope"},
		"no offline tokens":     {client: "app", user: "ada@acme.test", scope: "offline_access", refused: "invalid_scope"},
		"roles stay with admin": {client: "app", user: "root@tenantry.test"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.password(t, test.client, test.user, "scope", test.scope)
			if a.text("error") != test.refused {
				t.Fatalf("%+v", a)
			}
			if test.refused != "" {
				return
			}
			access := claimsOf(t, a.text("access_token"))
			if !reflect.DeepEqual(access["organization"], test.organization) {
				t.Errorf("organization %v, want %v", access["organization"], test.organization)
			}
			if access["realm_access"] != nil {
				t.Errorf("%s carries %v", test.client, access["realm_access"])
			}
			if hasID := a.body["id_token"] != nil; hasID != strings.Contains(test.scope, "openid") {
				t.Errorf("ID token: %v", hasID)
			}
		})
	}
}

func TestOneTimeCode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 2 { // demo.json lets codes be used again
		a := b.password(t, "app", "ada@acme.test", "totp", b.totp(t))
		if acr := claimsOf(t, a.text("access_token"))["acr"]; acr != "2" {
			t.Errorf("acr %v", acr)
		}
	}
	if a := b.password(t, "app", "ada@acme.test", "totp", b.wrongTOTP(t)); a.status != http.StatusBadRequest || a.text("error") != "invalid_grant" {
		t.Errorf("a wrong code: %+v", a)
	}
	late := b.totp(t)
	b.clock.advance(90 * time.Second)
	if a := b.password(t, "app", "ada@acme.test", "totp", late); a.text("error") != "invalid_grant" {
		t.Errorf("a code of three steps ago: %+v", a)
	}
}

func TestTokenEndpointRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	service := []string{"client_id", "tenantry-provisioner", "client_secret", "demo-provisioner"}
	tests := map[string]struct {
		form   []string
		status int
		code   string
	}{
		"wrong password":       {[]string{"grant_type", "password", "client_id", "app", "username", "alan@acme.test", "password", "x"}, 400, "invalid_grant"},
		"empty password":       {[]string{"grant_type", "password", "client_id", "app", "username", "alan@acme.test", "password", ""}, 400, "invalid_grant"},
		"unknown user":         {[]string{"grant_type", "password", "client_id", "app", "username", "nobody", "password", "demo"}, 400, "invalid_grant"},
		"service account user": {[]string{"grant_type", "password", "client_id", "app", "username", "service-account-tenantry-provisioner", "password", ""}, 400, "invalid_grant"},
		"no user":              {[]string{"grant_type", "password", "client_id", "app", "password", "demo"}, 401, "invalid_request"},
		"unknown client":       {[]string{"grant_type", "password", "client_id", "nope", "username", "alan@acme.test", "password", "demo"}, 401, "invalid_client"},
		"no client":            {[]string{"grant_type", "password", "username", "alan@acme.test", "password", "demo"}, 401, "invalid_client"},
		"no grant":             {[]string{"client_id", "app"}, 400, "invalid_request"},
		"unknown grant":        {[]string{"client_id", "app", "grant_type", "implicit"}, 400, "unsupported_grant_type"},
		"repeated parameter":   {[]string{"client_id", "app", "grant_type", "password", "grant_type", "password"}, 400, "invalid_request"},
		"service, no secret":   {[]string{"client_id", "tenantry-provisioner", "grant_type", "client_credentials"}, 401, "unauthorized_client"},
		"service, bad secret":  {[]string{"client_id", "tenantry-provisioner", "client_secret", "x", "grant_type", "client_credentials"}, 401, "unauthorized_client"},
		"service, password":    {append(service, "grant_type", "password", "username", "alan@acme.test", "password", "demo"), 400, "unauthorized_client"},
		"public, credentials":  {[]string{"client_id", "app", "grant_type", "client_credentials"}, 401, "unauthorized_client"},
		"unknown code":         {[]string{"client_id", "app", "grant_type", "authorization_code", "code", "x", "redirect_uri", callback, "code_verifier", verifier}, 400, "invalid_grant"},
		"bad refresh token":    {[]string{"client_id", "app", "grant_type", "refresh_token", "refresh_token", "x"}, 400, "invalid_grant"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.post(t, "/token", test.form...)
			if a.status != test.status || a.text("error") != test.code || a.body["access_token"] != nil {
				t.Errorf("got %d %v, want %d %s", a.status, a.body, test.status, test.code)
			}
		})
	}
	t.Run("JSON body", func(t *testing.T) {
		t.Parallel()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.server.URL+protocol+"/token", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if a := b.do(t, r); a.status != http.StatusUnsupportedMediaType {
			t.Errorf("%+v", a)
		}
	})
	t.Run("huge body", func(t *testing.T) {
		t.Parallel()
		if a := b.password(t, "app", strings.Repeat("a", 1<<20)); a.status != http.StatusBadRequest || a.text("error") != "invalid_request" {
			t.Errorf("%+v", a)
		}
	})
}

// TestProductionFileAlone: without the demo file there is no direct grant and nobody to sign in.
func TestProductionFileAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *issuer.Config) { c.RealmFiles = realmFiles[:1] })
	for _, client := range []string{"admin-console", "org-console", "app"} {
		if a := b.password(t, client, "ada@acme.test"); a.text("error") != "unauthorized_client" {
			t.Errorf("%s: %+v", client, a)
		}
	}
	if a := b.post(t, "/token", "client_id", "tenantry-provisioner", "client_secret", "", "grant_type", "client_credentials"); a.status != http.StatusUnauthorized {
		t.Errorf("service client without a secret of its own: %+v", a)
	}
}

func TestServiceAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.server.URL+protocol+"/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("tenantry-provisioner", "demo-provisioner")
	a := b.do(t, r)
	if a.status != http.StatusOK || a.body["refresh_token"] != nil {
		t.Fatalf("%+v", a)
	}
	access := claimsOf(t, a.text("access_token"))
	want := map[string]any{"realm-management": map[string]any{"roles": []any{"manage-users", "query-users", "view-users", "manage-organizations"}}}
	if access["aud"] != "realm-management" || access["azp"] != "tenantry-provisioner" || access["sid"] != nil || !reflect.DeepEqual(access["resource_access"], want) {
		t.Errorf("%v", access)
	}
	r.SetBasicAuth("tenantry-provisioner", "wrong")
	r.Body, _ = r.GetBody()
	if a := b.do(t, r); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("%+v", a)
	}
}

// TestVerifierAcceptsOurTokens puts both halves together: what is issued here passes
// there, and what is not an access token does not.
func TestVerifierAcceptsOurTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	v, err := token.New(token.Config{
		Issuer: b.URL(), Now: b.clock.Now,
		Audiences: map[string]string{"tenantry-admin": "admin-console", "tenantry-org": "org-console", "tenantry-app": "app"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	a := b.password(t, "org-console", "ada@acme.test", "scope", "openid organization", "totp", b.totp(t))
	claims, err := v.Verify(t.Context(), a.text("access_token"))
	if err != nil {
		t.Fatal(err)
	}
	if claims.Audience != "tenantry-org" || claims.MFALevel != 2 || claims.Subject != "00000000-0000-7000-8000-000000000104" ||
		!reflect.DeepEqual(claims.Organizations, []string{"acme"}) || claims.Email != "ada@acme.test" || claims.AuthTime.IsZero() {
		t.Errorf("%+v", claims)
	}
	for _, kind := range []string{"id_token", "refresh_token"} {
		if _, err := v.Verify(t.Context(), a.text(kind)); err == nil {
			t.Errorf("%s passed", kind)
		}
	}
	if err := b.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	rotated := b.password(t, "org-console", "ada@acme.test")
	if headerOf(t, rotated.text("access_token"))["kid"] == headerOf(t, a.text("access_token"))["kid"] {
		t.Error("the new key is not used")
	}
	for _, raw := range []string{a.text("access_token"), rotated.text("access_token")} {
		if _, err := v.Verify(t.Context(), raw); err != nil {
			t.Errorf("after rotation: %v", err)
		}
	}
}
