package token_test

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"encore.app/identity/token"
)

func TestClaims(t *testing.T) {
	t.Parallel()
	b := setup(t)
	raw := b.sign(t, map[string]any{
		"aud": "tenantry-admin", "azp": "admin-console", "acr": "2", "amr": []string{"pwd", "otp"},
		"auth_time": start.Add(-time.Minute).Unix(), "email": "root@tenantry.test", "email_verified": true,
		"preferred_username": "root", "name": "Root", "realm_access": map[string]any{"roles": []string{"platform_admin"}},
		"resource_access": map[string]any{
			"admin-console": map[string]any{"roles": []string{"operator"}},
			"account":       map[string]any{"roles": []string{"view-profile"}},
		},
		"organization": []string{"acme"}, "org_id": "o-1",
	})
	got, err := b.verify(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := &token.Claims{
		Issuer: b.issuer.iss(), Subject: "user-1", Audience: "tenantry-admin", ClientID: "admin-console",
		Email: "root@tenantry.test", EmailVerified: true, Username: "root", Name: "Root",
		RealmRoles: []string{"platform_admin"}, ClientRoles: []string{"operator"},
		MFALevel: 2, AMR: []string{"pwd", "otp"},
		AuthTime: start.Add(-time.Minute), IssuedAt: start, Expiry: start.Add(5 * time.Minute),
		SessionID: "session-1", TokenID: "token-1",
		Organizations: []string{"acme"}, OrganizationsPresent: true, OrgID: "o-1",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestOrganizationShapes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tests := map[string]struct {
		claim   any
		aliases []string
		present bool
	}{
		"absent":       {nil, nil, false},
		"one":          {[]string{"acme"}, []string{"acme"}, true},
		"several":      {[]string{"globex", "acme"}, []string{"globex", "acme"}, true},
		"empty list":   {[]string{}, nil, true},
		"keyed":        {map[string]any{"globex": map[string]any{"id": "2"}, "acme": map[string]any{"id": "1"}}, []string{"acme", "globex"}, true},
		"keyed, empty": {map[string]any{}, nil, true},
		"null":         {[]byte(nil), nil, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := b.verify(b.sign(t, map[string]any{"organization": test.claim}))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Organizations, test.aliases) || got.OrganizationsPresent != test.present {
				t.Errorf("got %v, %v", got.Organizations, got.OrganizationsPresent)
			}
		})
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for acr, want := range map[any]int{"0": 0, "1": 1, "2": 2, "3": 0, "gold": 0, "": 0, 2: 0, "2 ": 0} {
		got, err := b.verify(b.sign(t, map[string]any{"acr": acr}))
		if err != nil || got.MFALevel != want {
			t.Errorf("acr %#v: level %d, %v; want %d", acr, got.MFALevel, err, want)
		}
	}
	if got, err := b.verify(b.sign(t, map[string]any{"acr": nil})); err != nil || got.MFALevel != 0 {
		t.Errorf("no acr: %+v, %v", got, err)
	}
}

// TestAudienceByClient: where a token serves several audiences, its client picks one.
func TestAudienceByClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for audience, client := range audiences {
		got, err := b.verify(b.sign(t, map[string]any{"aud": []string{"tenantry-app", "tenantry-org", "tenantry-admin"}, "azp": client}))
		if err != nil || got.Audience != audience {
			t.Errorf("client %s: %+v, %v; want %s", client, got, err, audience)
		}
	}
}

func TestCacheHonoursExpiry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	raw := b.sign(t, nil)
	first, err := b.verify(raw)
	if err != nil {
		t.Fatal(err)
	}
	b.issuer.Close() // nothing from here on may need the issuer
	second, err := b.verify(raw)
	if err != nil || first != second {
		t.Fatalf("not remembered: %v", err)
	}
	b.clock.advance(5*time.Minute + 29*time.Second)
	if _, err := b.verify(raw); err != nil {
		t.Errorf("within the skew: %v", err)
	}
	b.clock.advance(time.Second)
	for range 2 { // remembered, then verified again
		if _, err := b.verify(raw); reasonOf(err) != token.Expired {
			t.Errorf("got %v, want %s", err, token.Expired)
		}
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ada, bob := b.sign(t, map[string]any{"sub": "ada"}), b.sign(t, map[string]any{"sub": "bob"})
	firstAda, _ := b.verify(ada)
	firstBob, _ := b.verify(bob)
	if n := b.Revoke(func(c *token.Claims) bool { return c.Subject == "ada" }); n != 1 {
		t.Errorf("forgot %d tokens, want 1", n)
	}
	if again, err := b.verify(ada); err != nil || again == firstAda {
		t.Errorf("still remembered (%v)", err)
	}
	if again, err := b.verify(bob); err != nil || again != firstBob {
		t.Errorf("forgotten (%v)", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good, bad := b.sign(t, nil), b.sign(t, map[string]any{"aud": "account"})
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for range 50 {
				if _, err := b.verify(good); err != nil {
					t.Error(err)
				}
				if _, err := b.verify(bad); reasonOf(err) != token.WrongAudience {
					t.Error(err)
				}
				b.Revoke(func(*token.Claims) bool { return true })
			}
		})
	}
	work.Wait()
	if n := b.issuer.fetches(); n != 1 {
		t.Errorf("%d key fetches, want 1", n)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]token.Config{
		"no issuer":       {Audiences: audiences},
		"issuer no URL":   {Issuer: "tenantry", Audiences: audiences},
		"issuer a file":   {Issuer: "file:///etc", Audiences: audiences},
		"internal no URL": {Issuer: "https://id.example/realms/r", InternalURL: "keycloak:8080", Audiences: audiences},
		"no audience":     {Issuer: "https://id.example/realms/r"},
		"negative cache":  {Issuer: "https://id.example/realms/r", Audiences: audiences, CacheSize: -1},
	} {
		if _, err := token.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestVerifyWithoutIssuer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.issuer.Close()
	_, err := b.verify(b.sign(t, nil))
	if reasonOf(err) != token.KeysUnavailable {
		t.Errorf("got %v, want %s", err, token.KeysUnavailable)
	}
	if b.Health(context.Background()) == nil {
		t.Error("healthy without an issuer")
	}
}
