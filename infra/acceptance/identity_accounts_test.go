//go:build acceptance && local

package acceptance

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// What the platform does to a user is done at the issuer as well, by an app that has a service account.
func TestTheIssuersAccountFollowsTheUser(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	app, err := startApp(ctx, appConfig{database: scratch(t), seed: true, unset: []string{"RABBITMQ_URL"},
		env: []string{"KEYCLOAK_PROVISIONER_SECRET=demo-provisioner", "OIDC_ISSUER_URL=" + target.issuer}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(app.kill)

	var admin struct {
		Access string `json:"access_token"`
	}
	ask(t, http.MethodPost, target.issuer+"/protocol/openid-connect/token", "",
		url.Values{"grant_type": {"client_credentials"}, "client_id": {"tenantry-provisioner"}, "client_secret": {"demo-provisioner"}}, &admin)
	accounts := strings.Replace(target.issuer, "/realms/", "/admin/realms/", 1) + "/users"
	email := unique("temp") + "@acme.test"
	ask(t, http.MethodPost, accounts, admin.Access, map[string]any{"username": email, "email": email, "firstName": "T", "lastName": "P", "enabled": true, "emailVerified": true}, nil)
	var found []struct {
		ID string `json:"id"`
	}
	look := func() int {
		found = nil
		ask(t, http.MethodGet, accounts+"?exact=true&email="+url.QueryEscape(email), admin.Access, nil, &found)
		return len(found)
	}
	if look() != 1 {
		t.Fatal("no account")
	}
	ask(t, http.MethodPut, accounts+"/"+found[0].ID+"/reset-password", admin.Access, map[string]any{"type": "password", "value": "demo", "temporary": false}, nil)

	person := caller{user: email, client: "app"}
	bearer := signIn(t, person)
	self := want[me](t, on(app, t, bearer, "GET", "/api/v1/me", nil), http.StatusOK).User.ID
	root := signIn(t, rootMFA)
	act := func(method, what string) {
		t.Helper()
		if r := on(app, t, root, method, "/api/v1/admin/users/"+self+what, nil); r.status/100 != 2 {
			t.Fatalf("%s: %d %s", what, r.status, r.body)
		}
	}
	signsIn := func() bool {
		resp, err := client.Do(issuerForm(t, "token", url.Values{"grant_type": {"password"}, "client_id": {"app"}, "username": {email}, "password": {"demo"}}))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	act("POST", "/disable")
	eventually(t, 20*time.Second, "the account is off", func() bool { return !signsIn() })
	act("POST", "/enable")
	eventually(t, 20*time.Second, "the account is on again", signsIn)

	// So do organisations, and who belongs to them.
	type organization struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Enabled bool   `json:"enabled"`
	}
	slug := unique("corp")
	made := want[struct{ ID string }](t, on(app, t, root, "POST", "/api/v1/admin/orgs", map[string]any{"slug": slug, "name": "Acme"}), http.StatusCreated)
	at := strings.TrimSuffix(accounts, "/users") + "/organizations"
	counterpart := func(good func(o organization, members int) bool) func() bool {
		return func() bool {
			var all, members []organization
			ask(t, http.MethodGet, at+"?q=alias:"+slug, admin.Access, nil, &all)
			if len(all) != 1 {
				return false
			}
			ask(t, http.MethodGet, at+"/"+all[0].ID+"/members", admin.Access, nil, &members)
			return good(all[0], len(members))
		}
	}
	eventually(t, 20*time.Second, "the organisation is there", counterpart(func(o organization, n int) bool { return o.Enabled && n == 0 }))
	invited := want[struct{ Token string }](t, on(app, t, root, "POST", "/api/v1/admin/orgs/"+made.ID+"/invitations",
		map[string]any{"email": email, "org_roles": []string{"owner"}}), http.StatusCreated)
	if r := on(app, t, signIn(t, person), "POST", "/api/v1/app/invitations/accept", map[string]any{"token": invited.Token}); r.status/100 != 2 {
		t.Fatalf("accept: %d %s", r.status, r.body)
	}
	eventually(t, 20*time.Second, "the member is there", counterpart(func(_ organization, n int) bool { return n == 1 }))
	if r := on(app, t, root, "POST", "/api/v1/admin/orgs/"+made.ID+"/suspend", map[string]any{"reason": "r"}); r.status/100 != 2 {
		t.Fatalf("suspend: %d %s", r.status, r.body)
	}
	eventually(t, 20*time.Second, "the organisation is off", counterpart(func(o organization, _ int) bool { return !o.Enabled }))

	act("DELETE", "/personal-data")
	eventually(t, 20*time.Second, "the account is gone", func() bool { return look() == 0 })
}
