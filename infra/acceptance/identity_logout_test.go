//go:build acceptance && local

package acceptance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// atIssuer asks the issuer something and decodes the answer into out, if there is to be one.
func atIssuer(t *testing.T, r *http.Request, status int, out any) {
	t.Helper()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != status {
		t.Fatalf("%s %s: %s", r.Method, r.URL, resp.Status)
	}
	if out != nil {
		if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
			t.Fatal(err)
		}
	}
}

func issuerForm(t *testing.T, path string, form url.Values) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", target.issuer+"/protocol/openid-connect/"+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// tellOfLogouts points the client's back channel at the app under test.
func tellOfLogouts(t *testing.T, clientID string) {
	t.Helper()
	var operator struct {
		Token string `json:"access_token"`
	}
	atIssuer(t, issuerForm(t, "token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"tenantry-operator"}, "client_secret": {"demo-operator"}}),
		http.StatusOK, &operator)
	admin := func(method, path, body string) *http.Request {
		r, err := http.NewRequest(method, strings.Replace(target.issuer, "/realms/", "/admin/realms/", 1)+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+operator.Token)
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	var found []struct{ ID string }
	atIssuer(t, admin("GET", "/clients?clientId="+clientID, ""), http.StatusOK, &found)
	atIssuer(t, admin("PUT", "/clients/"+found[0].ID, `{"clientId":"`+clientID+`","attributes":{"backchannel.logout.url":"`+target.base+`/oidc/backchannel-logout"}}`),
		http.StatusNoContent, nil)
}

// Who signs out at the issuer is signed out here, and only in that session.
func TestSigningOutAtTheIssuerEndsTheSessionHere(t *testing.T) {
	tellOfLogouts(t, "org-console")
	type signedIn struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	in := func() (out signedIn) {
		atIssuer(t, issuerForm(t, "token", url.Values{"grant_type": {"password"}, "client_id": {"org-console"}, "username": {"alan@acme.test"}, "password": {"demo"}}),
			http.StatusOK, &out)
		if r := call(t, out.Access, "GET", "/api/v1/me", nil); r.status != http.StatusOK {
			t.Fatalf("got %d: %s", r.status, r.body)
		}
		return out
	}
	first, second := in(), in()
	atIssuer(t, issuerForm(t, "logout", url.Values{"client_id": {"org-console"}, "refresh_token": {first.Refresh}}), http.StatusNoContent, nil)
	eventually(t, 5*time.Second, "the session is refused", func() bool {
		return call(t, first.Access, "GET", "/api/v1/me", nil).status == http.StatusUnauthorized
	})
	wantFailure(t, call(t, first.Access, "GET", "/api/v1/me", nil), http.StatusUnauthorized, "token_revoked")
	if r := call(t, second.Access, "GET", "/api/v1/me", nil); r.status != http.StatusOK {
		t.Errorf("the other session ended, too: %d %s", r.status, r.body)
	}
}
