package conformance

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"encore.app/identity/token"
)

// TestBackchannelLogout has a client told of the ways in which a session ends, with a logout token
// that the API accepts.
func TestBackchannelLogout(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		told := make(chan string, 8)
		client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
				t.Errorf("%s %s", r.Method, r.Header.Get("Content-Type"))
			}
			told <- r.PostFormValue("logout_token")
		}))
		t.Cleanup(client.Close)
		was := tg.listen(t, "org-console", client.URL+"/oidc/backchannel-logout")
		defer tg.listen(t, "org-console", was)
		v, err := token.New(token.Config{Issuer: tg.issuer, Audiences: map[string]string{"tenantry-org": "org-console"}, Now: tg.now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)

		const user = "ada@acme.test"
		for name, end := range map[string]func(b *browser, tokens answer){
			"signed out in the browser": func(b *browser, tokens answer) {
				b.get(t, "logout", url.Values{"id_token_hint": {tokens.text("id_token")}})
			},
			"signed out by the client": func(_ *browser, tokens answer) {
				tg.post(t, "logout", "client_id", "org-console", "refresh_token", tokens.text("refresh_token"))
			},
			"signed out by an administrator": func(*browser, answer) {
				if a := tg.admin(t, http.MethodPost, "/users/"+idOf[user]+"/logout", nil); a.status != http.StatusNoContent {
					t.Fatalf("%d %s", a.status, a.raw)
				}
			},
		} {
			b := tg.browser()
			tokens := tg.exchange(t, "org-console", b.signIn(t, b.get(t, "auth", authorization("org-console")), ada...).param("code"))
			sid := claimsOf(t, tokens.text("access_token"))["sid"]
			end(b, tokens)
			// Other tests' sessions of the same user may end with it: find ours among them.
			for found := false; !found; {
				select {
				case raw := <-told:
					header, claims := parts(t, raw)
					found = claims["sid"] == sid
					if said, err := v.VerifyLogout(t.Context(), raw); err != nil || said.Subject != idOf[user] || said.SessionID != claims["sid"] {
						t.Errorf("%s: %+v, %v in %v", name, said, err, claims)
					}
					if header["typ"] != "logout+jwt" || claims["typ"] != "Logout" || claims["sub"] != idOf[user] || claims["nonce"] != nil || claims["jti"] == "" {
						t.Errorf("%s: %v %v", name, header, claims)
					}
				default: // both tell their clients before they answer
					t.Errorf("%s: the client was not told", name)
					found = true
				}
			}
		}
	})
}

// admin calls the admin API as the operator.
func (tg *target) admin(t *testing.T, method, path string, body any) answer {
	t.Helper()
	token := tg.token(t, "grant_type", "client_credentials", "client_id", "tenantry-operator", "client_secret", "demo-operator")
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(method, tg.base+"/admin/realms/tenantry"+path, strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token.text("access_token"))
	r.Header.Set("Content-Type", "application/json")
	return send(t, http.DefaultClient, r)
}

// listen sets where a client is told of sign-outs and returns where it was told before.
func (tg *target) listen(t *testing.T, client, to string) (was string) {
	t.Helper()
	var found []struct {
		ID         string            `json:"id"`
		Attributes map[string]string `json:"attributes"`
	}
	if a := tg.admin(t, http.MethodGet, "/clients?clientId="+client, nil); json.Unmarshal([]byte(a.raw), &found) != nil || len(found) != 1 {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	attributes := found[0].Attributes
	was = attributes["backchannel.logout.url"]
	if attributes == nil {
		attributes = map[string]string{}
	}
	attributes["backchannel.logout.url"] = to
	if a := tg.admin(t, http.MethodPut, "/clients/"+found[0].ID, map[string]any{"clientId": client, "attributes": attributes}); a.status != http.StatusNoContent {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	return was
}

// TestTheAdminAPIIsNotForEverybody: neither people, whatever their role, nor an account without the right.
func TestTheAdminAPIIsNotForEverybody(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, tg *target) {
		for name, c := range map[string]struct {
			bearer string
			status int
		}{
			"nobody":                 {"", http.StatusUnauthorized},
			"garbage":                {"x.y.z", http.StatusUnauthorized},
			"a platform's root":      {tg.password(t, "admin-console", "root@tenantry.test").text("access_token"), http.StatusForbidden},
			"a member":               {tg.password(t, "app", "ada@acme.test").text("access_token"), http.StatusForbidden},
			"an ID token":            {tg.password(t, "app", "ada@acme.test", "scope", "openid").text("id_token"), http.StatusUnauthorized},
			"the account of the API": {tg.token(t, "grant_type", "client_credentials", "client_id", "tenantry-provisioner", "client_secret", "demo-provisioner").text("access_token"), http.StatusForbidden},
		} {
			r := request(t, http.MethodGet, tg.base+"/admin/realms/tenantry/clients?clientId=app", nil)
			if c.bearer != "" {
				r.Header.Set("Authorization", "Bearer "+c.bearer)
			}
			if a := send(t, http.DefaultClient, r); a.status != c.status {
				t.Errorf("%s: %d, want %d", name, a.status, c.status)
			}
		}
	})
}
