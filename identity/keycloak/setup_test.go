package keycloak_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"encore.app/identity/keycloak"
	"encore.app/infra/devstack/issuer"
	server "encore.app/infra/devstack/keycloak"
)

const keycloakWait = 5 * time.Minute // it starts beside the tests

// eachIssuer runs a test against the development issuer and, where there is one, against Keycloak.
func eachIssuer(t *testing.T, test func(t *testing.T, issuer string)) {
	t.Helper()
	t.Run("development issuer", func(t *testing.T) {
		t.Parallel()
		test(t, development(t))
	})
	t.Run("keycloak", func(t *testing.T) {
		t.Parallel()
		if os.Getenv("KEYCLOAK_URL") == "" {
			t.Skip("NOT RUN: there is no Keycloak here (KEYCLOAK_URL names one; devstack exec --real starts one)")
		}
		if err := started(); err != nil {
			t.Fatalf("KEYCLOAK_URL is set, but Keycloak does not serve the realm: %v", err)
		}
		test(t, os.Getenv("KEYCLOAK_URL")+"/realms/tenantry")
	})
}

var started = sync.OnceValue(func() error {
	ctx, cancel := context.WithTimeout(context.Background(), keycloakWait)
	defer cancel()
	at := os.Getenv("KEYCLOAK_URL") + "/realms/tenantry"
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		err := server.Check(ctx, at, at)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
})

func development(t *testing.T) string {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	i, err := issuer.New(issuer.Config{
		RealmFiles: []string{"../../infra/keycloak/tenantry-realm.json", "../../infra/keycloak/demo.json"},
		BaseURL:    "http://" + s.Listener.Addr().String(), AppEnv: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = i.Handler()
	s.Start()
	t.Cleanup(s.Close)
	return i.URL()
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
