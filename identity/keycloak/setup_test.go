package keycloak_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"encore.app/identity/keycloak"
	"encore.app/infra/keycloak/issuertest"
)

// eachIssuer runs a test against the development issuer and, where there is one, against Keycloak.
func eachIssuer(t *testing.T, test func(t *testing.T, issuer string)) {
	t.Helper()
	issuertest.Each(t, func(t *testing.T, i *issuertest.Issuer) { test(t, i.URL) })
}

// as makes a client of one of the demo realm's service accounts.
func as(t *testing.T, issuer, account string) *keycloak.Client {
	t.Helper()
	c, err := keycloak.New(keycloak.Config{Issuer: issuer, ClientID: "tenantry-" + account, ClientSecret: "demo-" + account, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// unique is a name that no other test or run has.
func unique(prefix string) string { return prefix + "-" + uuid.NewString()[:8] }

// post asks a protocol endpoint and returns the status and the answer.
func post(t *testing.T, issuer, endpoint string, pairs ...string) (int, map[string]any) {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/protocol/openid-connect/"+endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(t, r)
}

func send(t *testing.T, r *http.Request) (int, map[string]any) {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil && response.StatusCode != http.StatusNoContent {
		t.Fatalf("%s answered %d: %v", r.URL.Path, response.StatusCode, err)
	}
	return response.StatusCode, body
}

// person makes an account that can sign in, with the password "correct horse".
func person(t *testing.T, issuer string) keycloak.User {
	t.Helper()
	admin := as(t, issuer, "provisioner")
	user, created, err := admin.EnsureUser(t.Context(), keycloak.NewUser{Email: unique("p") + "@acme.test", FirstName: "P", LastName: "Person"})
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	_, token := post(t, issuer, "token", "grant_type", "client_credentials", "client_id", "tenantry-provisioner", "client_secret", "demo-provisioner")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, strings.Replace(issuer, "/realms/", "/admin/realms/", 1)+"/users/"+user.ID+"/reset-password",
		strings.NewReader(`{"type":"password","value":"correct horse","temporary":false}`))
	if err != nil {
		t.Fatal(err)
	}
	bearer, _ := token["access_token"].(string)
	r.Header.Set("Authorization", "Bearer "+bearer)
	r.Header.Set("Content-Type", "application/json")
	if status, body := send(t, r); status != http.StatusNoContent {
		t.Fatalf("%d %v", status, body)
	}
	return user
}

// signIn is a direct grant.
func signIn(t *testing.T, issuer string, user keycloak.User, password string) (int, map[string]any) {
	t.Helper()
	return post(t, issuer, "token", "grant_type", "password", "client_id", "app", "username", user.Email, "password", password)
}

// signInWell is a direct grant that has to be given. Keycloak counts attempts in the background and
// refuses the user until it is done, so that it may take more than one.
func signInWell(t *testing.T, issuer string, user keycloak.User) map[string]any {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		status, body := signIn(t, issuer, user, "correct horse")
		if status == http.StatusOK {
			return body
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d %v", status, body)
		}
	}
}
