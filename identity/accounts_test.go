package identity

import (
	"context"
	"errors"
	"testing"
	"time"

	"encore.app/identity/keycloak"
	"encore.app/infra/keycloak/issuertest"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
)

func provisioner(t *testing.T, issuer string) *keycloak.Client {
	t.Helper()
	c, err := keycloak.New(keycloak.Config{Issuer: issuer, ClientID: "tenantry-provisioner", ClientSecret: "demo-provisioner",
		Pause: func(context.Context, int) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// queued is an order that waits in the outbox.
func queued(t *testing.T, subject, do string) *AccountOrder {
	t.Helper()
	o := &AccountOrder{ID: rowid.New(), Subject: subject, Do: do}
	err := open().Tx(context.Background(), tenantdb.Scope{}, func(tx pgx.Tx) error {
		return outbox.AddOrdered(context.Background(), tx, accountTopic, subject, o.ID, o)
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func waits(t *testing.T, o *AccountOrder) bool {
	t.Helper()
	yes, err := outbox.Waits(context.Background(), open(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	return yes
}

func TestOrdersAreCarriedOutAtTheIssuer(t *testing.T) {
	t.Parallel()
	issuertest.Each(t, func(t *testing.T, i *issuertest.Issuer) {
		s := &Service{db: open(), accounts: provisioner(t, i.URL)}
		account, _, err := s.accounts.EnsureUser(t.Context(), keycloak.NewUser{Email: rowid.New().String() + "@acme.test", FirstName: "A", LastName: "B"})
		if err != nil {
			t.Fatal(err)
		}
		do := func(o *AccountOrder) {
			t.Helper()
			if err := s.carryOut(t.Context(), o); err != nil || waits(t, o) {
				t.Fatalf("%s: %v, waits %v", o.Do, err, waits(t, o))
			}
		}
		enabled := func(want bool) {
			t.Helper()
			if got, err := s.accounts.User(t.Context(), account.ID); err != nil || got.Enabled != want {
				t.Errorf("%+v, %v, want enabled %v", got, err, want)
			}
		}
		off := queued(t, account.ID, accountDisable)
		do(off)
		enabled(false)
		do(queued(t, account.ID, accountEnable))
		enabled(true)
		do(off) // delivered again, late
		enabled(true)
		do(queued(t, account.ID, accountSignOut))
		for range 2 { // the second finds nobody
			do(queued(t, account.ID, accountDelete))
		}
		if got, err := s.accounts.User(t.Context(), account.ID); !errors.Is(err, keycloak.ErrNotFound) {
			t.Errorf("deleted: %+v, %v", got, err)
		}
	})
}

func TestAnOrderWaitsForTheIssuer(t *testing.T) {
	t.Parallel()
	gone := queued(t, "somebody", accountDisable)
	strange := queued(t, "somebody else", "promote")
	closed := &Service{db: open(), accounts: provisioner(t, "http://127.0.0.1:1/realms/tenantry")}
	if err := closed.carryOut(t.Context(), gone); !errors.Is(err, keycloak.ErrUnavailable) || !waits(t, gone) {
		t.Errorf("with the issuer away: %v, waits %v", err, waits(t, gone))
	}
	if err := closed.carryOut(t.Context(), strange); err == nil || !waits(t, strange) {
		t.Errorf("an order that nobody knows: %v", err)
	}
	if err := (&Service{db: open()}).carryOut(t.Context(), gone); err == nil || !waits(t, gone) {
		t.Errorf("without a service account: %v", err)
	}
	if accountWithin >= 15*time.Second {
		t.Error("an order may still be under way when the outbox delivers it again")
	}
}
