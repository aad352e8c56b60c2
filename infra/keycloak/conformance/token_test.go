package conformance

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"encore.app/identity/token"
)

// fronts are the clients that people sign in to, and the audience of their tokens.
var fronts = map[string]string{"admin-console": "tenantry-admin", "org-console": "tenantry-org", "app": "tenantry-app"}

// idOf are the ids that the demo file gives.
var idOf = map[string]string{
	"root@tenantry.test": "00000000-0000-7000-8000-000000000101", "ada@acme.test": "00000000-0000-7000-8000-000000000104",
	"alan@acme.test": "00000000-0000-7000-8000-000000000105", "grace@acme.test": "00000000-0000-7000-8000-000000000106",
	"bob@acme.test": "00000000-0000-7000-8000-000000000107", "mallory@nowhere.test": "00000000-0000-7000-8000-000000000109",
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		a := send(t, http.DefaultClient, request(t, http.MethodGet, tg.issuer+"/.well-known/openid-configuration", nil))
		if a.status != http.StatusOK || a.text("issuer") != tg.issuer {
			t.Fatalf("%d %s", a.status, a.raw)
		}
		for name, path := range map[string]string{
			"authorization_endpoint": "auth", "token_endpoint": "token", "userinfo_endpoint": "userinfo", "jwks_uri": "certs",
			"end_session_endpoint": "logout", "introspection_endpoint": "token/introspect", "revocation_endpoint": "revoke",
		} {
			if a.text(name) != tg.endpoint(path) {
				t.Errorf("%s is %q, want %q", name, a.text(name), tg.endpoint(path))
			}
		}
		for name, member := range map[string]string{
			"response_types_supported": "code", "code_challenge_methods_supported": "S256", "acr_values_supported": "2",
			"grant_types_supported": "client_credentials", "id_token_signing_alg_values_supported": "RS256",
			"scopes_supported": "organization",
		} {
			if list, _ := a.body[name].([]any); !slices.Contains(list, any(member)) {
				t.Errorf("%s is %v, want %s in it", name, a.body[name], member)
			}
		}
		if a.body["backchannel_logout_supported"] != true || a.body["backchannel_logout_session_supported"] != true {
			t.Error("no back-channel logout")
		}
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		a := send(t, http.DefaultClient, request(t, http.MethodGet, tg.endpoint("certs"), nil))
		header, _ := parts(t, tg.password(t, "app", "ada@acme.test").text("access_token"))
		keys, _ := a.body["keys"].([]any)
		signing := false
		for _, k := range keys {
			key, _ := k.(map[string]any)
			if key["d"] != nil || key["p"] != nil || key["k"] != nil {
				t.Errorf("a private key is published: %v", key["kid"])
			}
			if key["kid"] == header["kid"] {
				signing = key["alg"] == "RS256" && key["use"] == "sig" && key["kty"] == "RSA"
			}
		}
		if !signing {
			t.Errorf("the key that signed is not among the published: %s", a.raw)
		}
	})
}

// TestAccessTokenShape holds the tokens of the three clients to what the API reads of them.
func TestAccessTokenShape(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		for client, audience := range fronts {
			for _, user := range []string{"root@tenantry.test", "ada@acme.test"} {
				a := tg.password(t, client, user)
				header, claims := parts(t, a.text("access_token"))
				if header["alg"] != "RS256" || header["typ"] != "at+jwt" {
					t.Errorf("%s: header %v", client, header)
				}
				for name, want := range map[string]any{
					"iss": tg.issuer, "aud": audience, "azp": client, "typ": "Bearer", "acr": "1", "sub": idOf[user],
					"email": user, "email_verified": true, "preferred_username": user,
					"nonce": nil, "session_state": nil, "organization": nil, "resource_access": nil,
				} {
					if claims[name] != want {
						t.Errorf("%s: %s is %v, want %v", client, name, claims[name], want)
					}
				}
				if sid, _ := claims["sid"].(string); sid == "" || sid != a.text("session_state") {
					t.Errorf("%s: sid %v", client, claims["sid"])
				}
				if jti, _ := claims["jti"].(string); jti == "" {
					t.Errorf("%s: no jti", client)
				}
				if claims["exp"].(float64)-claims["iat"].(float64) != 300 {
					t.Errorf("%s: lives from %v to %v", client, claims["iat"], claims["exp"])
				}
				if got := texts(claims["amr"]); !slices.Equal(got, tg.grantAMR) {
					t.Errorf("%s: amr %v, want %v", client, got, tg.grantAMR)
				}
				// Platform roles travel in tokens of the platform console alone.
				access, _ := claims["realm_access"].(map[string]any)
				var want []string
				if client == "admin-console" && user == "root@tenantry.test" {
					want = []string{"platform_admin"}
				}
				if got := texts(access["roles"]); !slices.Equal(got, want) {
					t.Errorf("%s: %s has roles %v, want %v", client, user, got, want)
				}
			}
		}
	})
}

func texts(list any) []string {
	members, ok := list.([]any)
	if !ok {
		return nil
	}
	out := make([]string, 0, len(members))
	for _, m := range members {
		text, _ := m.(string)
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func TestOneTimeCodeInTheDirectGrant(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		claims := claimsOf(t, tg.password(t, "app", "ada@acme.test", "totp", tg.totp(t)).text("access_token"))
		want := "1"
		if tg.grantTOTP {
			want = "2"
		}
		if claims["acr"] != want {
			t.Errorf("acr %v, want %s", claims["acr"], want)
		}
	})
}

func TestOrganizationClaim(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		for _, c := range []struct {
			user, scope string
			want        []string
		}{
			{"ada@acme.test", "openid", nil},
			{"ada@acme.test", "openid organization", []string{"acme"}},
			{"ada@acme.test", "openid organization:acme", []string{"acme"}},
			{"ada@acme.test", "openid organization:*", []string{"acme"}},
			{"bob@acme.test", "openid organization:globex", []string{"globex"}},
			{"ada@acme.test", "openid organization:globex", nil}, // a foreigner there
			{"bob@acme.test", "openid organization:*", []string{"acme", "globex"}},
			{"bob@acme.test", "openid organization", nil}, // would have to choose, and nobody can be asked
			{"mallory@nowhere.test", "openid organization:*", nil},
		} {
			a := tg.password(t, "app", c.user, "scope", c.scope)
			for _, kind := range []string{"access_token", "id_token"} {
				if got := texts(claimsOf(t, a.text(kind))["organization"]); !slices.Equal(got, c.want) {
					t.Errorf("%s, %s: the %s names %v, want %v", c.user, c.scope, kind, got, c.want)
				}
			}
		}
	})
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		first := tg.password(t, "app", "ada@acme.test", "scope", "openid organization:*")
		second := tg.refresh(t, "app", first.text("refresh_token"))
		if second.status != http.StatusOK {
			t.Fatalf("%d %s", second.status, second.raw)
		}
		was, is := claimsOf(t, first.text("access_token")), claimsOf(t, second.text("access_token"))
		for _, name := range []string{"sub", "sid", "aud", "azp", "acr", "iss"} {
			if was[name] != is[name] {
				t.Errorf("%s was %v, is %v", name, was[name], is[name])
			}
		}
		if was["jti"] == is["jti"] || !slices.Equal(texts(is["organization"]), []string{"acme"}) {
			t.Errorf("was %v\nis %v", was, is)
		}
		if a := tg.refresh(t, "org-console", second.text("refresh_token")); a.text("error") != "invalid_grant" {
			t.Errorf("another client's: %d %s", a.status, a.raw)
		}
		if a := tg.refresh(t, "app", first.text("refresh_token")); a.status != http.StatusBadRequest || a.text("error") != "invalid_grant" {
			t.Errorf("used twice: %d %s", a.status, a.raw)
		}
		if a := tg.refresh(t, "app", second.text("refresh_token")); a.text("error") != "invalid_grant" {
			t.Errorf("a token used twice was stolen, and whoever has the newer one must not go on: %d %s", a.status, a.raw)
		}
	})
}

func TestServiceAccount(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		a := tg.token(t, "grant_type", "client_credentials", "client_id", "tenantry-provisioner", "client_secret", "demo-provisioner")
		claims := claimsOf(t, a.text("access_token"))
		if a.body["refresh_token"] != nil || claims["sid"] != nil {
			t.Errorf("a machine has no session: %v", a.body)
		}
		if claims["aud"] != "realm-management" || claims["azp"] != "tenantry-provisioner" || claims["typ"] != "Bearer" {
			t.Errorf("%v", claims)
		}
		if access, _ := claims["resource_access"].(map[string]any); len(access) != 1 {
			t.Errorf("resource_access %v", claims["resource_access"])
		}
		if claims["realm_access"] != nil {
			t.Errorf("realm roles %v", claims["realm_access"])
		}
	})
}

// TestOurVerifier shows both issuers' tokens to the code that guards the API.
func TestOurVerifier(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		audiences := map[string]string{}
		for client, audience := range fronts {
			audiences[audience] = client
		}
		v, err := token.New(token.Config{Issuer: tg.issuer, Audiences: audiences, Now: tg.now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		for client, audience := range fronts {
			raw := tg.password(t, client, "ada@acme.test", "scope", "openid organization:*").text("access_token")
			c, err := v.Verify(t.Context(), raw)
			if err != nil {
				t.Errorf("%s: %v", client, err)
				continue
			}
			if c.Audience != audience || c.ClientID != client || c.Subject != idOf["ada@acme.test"] || c.MFALevel != 1 ||
				c.SessionID == "" || c.Email != "ada@acme.test" || !c.EmailVerified || len(c.RealmRoles) != 0 ||
				!slices.Equal(c.Organizations, []string{"acme"}) {
				t.Errorf("%s: %+v", client, c)
			}
		}
		root := tg.password(t, "admin-console", "root@tenantry.test", "scope", "openid")
		if c, err := v.Verify(t.Context(), root.text("access_token")); err != nil || !slices.Equal(c.RealmRoles, []string{"platform_admin"}) {
			t.Errorf("%+v, %v", c, err)
		}
		machine := tg.token(t, "grant_type", "client_credentials", "client_id", "tenantry-provisioner", "client_secret", "demo-provisioner")
		split := strings.Split(root.text("access_token"), ".")
		for name, c := range map[string]struct {
			raw    string
			reason token.Reason
		}{
			"ID token":          {root.text("id_token"), token.WrongType},
			"refresh token":     {root.text("refresh_token"), token.WrongType},
			"service account":   {machine.text("access_token"), token.WrongAudience},
			"changed signature": {split[0] + "." + split[1] + "." + strings.Repeat("A", len(split[2])), token.BadSignature},
		} {
			var refused *token.Error
			if _, err := v.Verify(t.Context(), c.raw); !errors.As(err, &refused) || refused.Reason != c.reason {
				t.Errorf("%s: %v, want %s", name, err, c.reason)
			}
		}
	})
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		own := tg.token(t, "grant_type", "client_credentials", "client_id", "tenantry-provisioner", "client_secret", "demo-provisioner")
		ask := func(token string) any {
			a := tg.post(t, "token/introspect", "client_id", "tenantry-provisioner", "client_secret", "demo-provisioner", "token", token)
			if a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.raw)
			}
			return a.body["active"]
		}
		if active := ask("x.y.z"); active != false {
			t.Errorf("garbage: %v", active)
		}
		if active := ask(tg.password(t, "app", "ada@acme.test").text("access_token")); active != false {
			t.Errorf("somebody else's: %v", active)
		}
		if active := ask(own.text("access_token")); active != tg.introspectsOwn {
			t.Errorf("its own: %v, want %v", active, tg.introspectsOwn)
		}
	})
}
