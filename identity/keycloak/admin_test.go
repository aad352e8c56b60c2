package keycloak_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"encore.app/identity/keycloak"
	"encore.app/infra/keycloak/issuertest"
)

func TestEnsureUser(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, issuer string) {
		admin, email := as(t, issuer, "provisioner"), unique("new")+"@acme.test"
		if _, err := admin.FindUser(t.Context(), email); !errors.Is(err, keycloak.ErrNotFound) {
			t.Fatalf("before: %v", err)
		}
		want := keycloak.NewUser{Email: email, FirstName: "New", LastName: "Person", RequiredActions: []string{keycloak.ActionUpdatePassword}}
		first, created, err := admin.EnsureUser(t.Context(), want)
		if err != nil || !created || first.ID == "" || first.Email != email || !first.Enabled || !slices.Equal(first.RequiredActions, want.RequiredActions) {
			t.Fatalf("%+v, %v, %v", first, created, err)
		}
		want.FirstName, want.Email = "Other", strings.ToUpper(email[:1])+email[1:]
		again, created, err := admin.EnsureUser(t.Context(), want)
		if err != nil || created || again.ID != first.ID || again.FirstName != "New" {
			t.Errorf("the second time: %+v, %v, %v", again, created, err)
		}
	})
}

func TestDisableAndEnable(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, issuer string) {
		admin, user := as(t, issuer, "provisioner"), person(t, issuer)
		tokens := signInWell(t, issuer, user)
		for range 2 { // it may be repeated
			if err := admin.DisableUser(t.Context(), user.ID); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := admin.User(t.Context(), user.ID); err != nil || got.Enabled || got.FirstName != "P" || got.Email != user.Email {
			t.Errorf("%+v, %v", got, err)
		}
		if status, body := signIn(t, issuer, user, "correct horse"); status != 400 || body["error"] != "invalid_grant" {
			t.Errorf("disabled, and signed in: %d %v", status, body)
		}
		refresh, _ := tokens["refresh_token"].(string)
		if status, body := post(t, issuer, "token", "grant_type", "refresh_token", "client_id", "app", "refresh_token", refresh); body["error"] != "invalid_grant" {
			t.Errorf("disabled, and refreshed: %d %v", status, body)
		}
		if err := admin.EnableUser(t.Context(), user.ID); err != nil {
			t.Fatal(err)
		}
		signInWell(t, issuer, user)
	})
}

func TestLogoutUser(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, issuer string) {
		user := person(t, issuer)
		var refresh []string
		for range 2 {
			tokens := signInWell(t, issuer, user)
			token, _ := tokens["refresh_token"].(string)
			refresh = append(refresh, token)
		}
		if err := as(t, issuer, "provisioner").LogoutUser(t.Context(), user.ID); err != nil {
			t.Fatal(err)
		}
		for _, token := range refresh {
			if status, body := post(t, issuer, "token", "grant_type", "refresh_token", "client_id", "app", "refresh_token", token); body["error"] != "invalid_grant" {
				t.Errorf("a session goes on: %d %v", status, body)
			}
		}
		signInWell(t, issuer, user)
	})
}

func TestTemporaryPassword(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, issuer string) {
		admin, user := as(t, issuer, "provisioner"), person(t, issuer)
		if err := admin.SetTemporaryPassword(t.Context(), user.ID, "battery staple"); err != nil {
			t.Fatal(err)
		}
		got, err := admin.User(t.Context(), user.ID)
		if err != nil || !slices.Contains(got.RequiredActions, keycloak.ActionUpdatePassword) {
			t.Errorf("%+v, %v", got, err)
		}
		if status, body := signIn(t, issuer, user, "battery staple"); status != 400 || body["error_description"] != "Account is not fully set up" {
			t.Errorf("%d %v", status, body)
		}
		if status, body := signIn(t, issuer, user, "correct horse"); status != 400 || body["error_description"] != "Invalid user credentials" {
			t.Errorf("the old password: %d %v", status, body)
		}
	})
}

// TestResetMFA takes the demo user's device away and gives none back: only this test signs in as them.
func TestResetMFA(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, issuer string) {
		admin := as(t, issuer, "provisioner")
		auditor, err := admin.FindUser(t.Context(), "auditor@tenantry.test")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := admin.ResetMFA(t.Context(), auditor.ID); err != nil {
				t.Fatal(err)
			}
		}
		got, err := admin.User(t.Context(), auditor.ID)
		if err != nil || !slices.Equal(got.RequiredActions, []string{keycloak.ActionConfigureTOTP}) {
			t.Errorf("%+v, %v", got, err)
		}
		if status, body := signIn(t, issuer, auditor, "demo"); status != 400 || body["error_description"] != "Account is not fully set up" {
			t.Errorf("signed in without a second factor: %d %v", status, body)
		}
	})
}

func TestSyncOrganization(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, issuer string) {
		admin := as(t, issuer, "provisioner")
		a, b, c := person(t, issuer), person(t, issuer), person(t, issuer)
		want := keycloak.Organization{Alias: unique("org"), Enabled: true, Members: []string{a.ID, b.ID, a.ID}}
		want.Name = "The " + want.Alias
		sync := func(what string, expect keycloak.Changes) {
			t.Helper()
			got, err := admin.SyncOrganization(t.Context(), want)
			slices.Sort(got.Added)
			slices.Sort(expect.Added)
			if err != nil || got.Created != expect.Created || got.Updated != expect.Updated || !slices.Equal(got.Added, expect.Added) || !slices.Equal(got.Removed, expect.Removed) {
				t.Errorf("%s: %+v, %v; want %+v", what, got, err, expect)
			}
		}
		sync("new", keycloak.Changes{Created: true, Added: []string{a.ID, b.ID}})
		sync("again", keycloak.Changes{})
		want.Members = append(want.Members, "00000000-0000-7000-8000-00000000dead")
		sync("with somebody who has no account", keycloak.Changes{})
		want.Members = []string{b.ID, c.ID}
		sync("other members", keycloak.Changes{Added: []string{c.ID}, Removed: []string{a.ID}})
		named := func(u keycloak.User) any {
			_, tokens := post(t, issuer, "token", "grant_type", "password", "client_id", "app", "username", u.Email,
				"password", "correct horse", "scope", "openid organization:"+want.Alias)
			raw, ok := tokens["access_token"].(string)
			if !ok {
				return tokens["error"]
			}
			return claim(t, raw, "organization")
		}
		if got, ok := named(c).([]any); !ok || len(got) != 1 || got[0] != want.Alias {
			t.Errorf("the token of a member names %v", got)
		}
		if got := named(a); got != nil {
			t.Errorf("the token of one who left names %v", got)
		}
		want.Name, want.Enabled = "Renamed "+want.Alias, false
		sync("renamed and suspended", keycloak.Changes{Updated: true})
		if got := named(c); got != "invalid_scope" {
			t.Errorf("the token of a member of a suspended organisation names %v", got)
		}
		if err := admin.EnsureMember(t.Context(), want.Alias, want.Name, a.ID); err != nil {
			t.Fatal(err)
		}
		sync("one too many", keycloak.Changes{Removed: []string{a.ID}})
		other := unique("made")
		for range 2 {
			if err := admin.EnsureMember(t.Context(), other, "The "+other, a.ID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := admin.SyncOrganization(t.Context(), keycloak.Organization{Alias: unique("free"), Name: "The " + other, Enabled: true}); err == nil {
			t.Error("two organisations of one name")
		}
	})
}

func TestRoleMembers(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, issuer string) {
		operator := as(t, issuer, "operator")
		got, err := operator.RoleMembers(t.Context(), "platform_admin")
		if err != nil || len(got) != 1 || got[0].Email != "root@tenantry.test" {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := operator.RoleMembers(t.Context(), "no such role"); !errors.Is(err, keycloak.ErrNotFound) {
			t.Errorf("an unknown role: %v", err)
		}
	})
}

func TestRotateSecret(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, issuer string) {
		operator := as(t, issuer, "operator")
		if _, err := operator.RotateSecret(t.Context(), "app"); !errors.Is(err, keycloak.ErrPublicClient) {
			t.Errorf("a public client: %v", err)
		}
		if _, err := operator.RotateSecret(t.Context(), "nope"); !errors.Is(err, keycloak.ErrNotFound) {
			t.Errorf("an unknown client: %v", err)
		}
	})
	t.Run("for good", func(t *testing.T) {
		t.Parallel()
		issuer := issuertest.Development(t).URL // not at a Keycloak that other tests sign in to
		secret, err := as(t, issuer, "operator").RotateSecret(t.Context(), "tenantry-provisioner")
		if err != nil || len(secret) < 32 {
			t.Fatalf("%d characters, %v", len(secret), err)
		}
		if _, err := as(t, issuer, "provisioner").FindUser(t.Context(), "ada@acme.test"); !errors.Is(err, keycloak.ErrCredentials) {
			t.Errorf("the old secret: %v", err)
		}
		c, err := keycloak.New(keycloak.Config{Issuer: issuer, ClientID: "tenantry-provisioner", ClientSecret: secret})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.FindUser(t.Context(), "ada@acme.test"); err != nil {
			t.Errorf("the new secret: %v", err)
		}
	})
}

// The API's account must not be able to do what only operators may.
func TestTheProvisionerHasNoMoreRightsThanItNeeds(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, issuer string) {
		admin := as(t, issuer, "provisioner")
		if _, err := admin.RotateSecret(t.Context(), "tenantry-operator"); !errors.Is(err, keycloak.ErrForbidden) {
			t.Errorf("rotate a secret: %v", err)
		}
		if _, err := admin.RoleMembers(t.Context(), "platform_admin"); !errors.Is(err, keycloak.ErrForbidden) {
			t.Errorf("list a role: %v", err)
		}
	})
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, issuer string) {
		admin := as(t, issuer, "provisioner")
		const nobody = "../00000000-0000-7000-8000-0000000fffff"
		for name, do := range map[string]func() error{
			"disable": func() error { return admin.DisableUser(t.Context(), nobody) },
			"enable":  func() error { return admin.EnableUser(t.Context(), nobody) },
			"logout":  func() error { return admin.LogoutUser(t.Context(), nobody) },
			"reset":   func() error { return admin.ResetMFA(t.Context(), nobody) },
		} {
			if err := do(); !errors.Is(err, keycloak.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
