package identity

import (
	"context"
	"testing"
	"time"

	"encore.app/identity/token"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
)

func (u *users) revoke(t *testing.T, r rule) {
	t.Helper()
	err := u.db.Tx(context.Background(), tenantdb.Scope{}, func(tx pgx.Tx) error { return revoke(context.Background(), tx, r) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestARuleRefusesWhatItNames(t *testing.T) {
	t.Parallel()
	u, now, claims := setup(t)
	claims.SessionID, claims.TokenID, claims.IssuedAt = rowid.New().String(), rowid.New().String(), claims.IssuedAt.Add(-time.Minute)
	with := func(edit func(*token.Claims)) *token.Claims {
		c := *claims
		edit(&c)
		return &c
	}
	otherToken := with(func(c *token.Claims) { c.TokenID = rowid.New().String() })
	otherSession := with(func(c *token.Claims) { c.SessionID, c.TokenID = rowid.New().String(), rowid.New().String() })
	later := with(func(c *token.Claims) { c.TokenID, c.IssuedAt = rowid.New().String(), time.Now().Add(2*time.Second) })
	stranger := with(func(c *token.Claims) { c.Subject, c.SessionID, c.TokenID = rowid.New().String(), "", "" })
	expect := func(what string, refused ...bool) {
		t.Helper()
		now.advance(userFreshness)
		for i, c := range []*token.Claims{claims, otherToken, otherSession, later, stranger} {
			if got := u.must(t, c).revoked(c); got != refused[i] {
				t.Errorf("%s: token %d refused %v, want %v", what, i, got, refused[i])
			}
		}
	}
	expect("no rule", false, false, false, false, false)
	u.revoke(t, rule{issuer: claims.Issuer, kind: byToken, value: claims.TokenID})
	expect("the token", true, false, false, false, false)
	u.revoke(t, rule{issuer: "https://elsewhere.test", kind: bySession, value: claims.SessionID})
	expect("another issuer's session", true, false, false, false, false)
	u.revoke(t, rule{issuer: claims.Issuer, kind: bySubject, value: claims.Subject})
	expect("the subject until now", true, true, true, false, false)
	u.revoke(t, rule{issuer: claims.Issuer, kind: bySession, value: claims.SessionID})
	expect("the session", true, true, true, true, false)
}

// A token can be revoked before its user is ever seen.
func TestARuleComesBeforeTheUser(t *testing.T) {
	t.Parallel()
	u, _, claims := setup(t)
	claims.IssuedAt = claims.IssuedAt.Add(-time.Minute)
	u.revoke(t, rule{issuer: claims.Issuer, kind: bySubject, value: claims.Subject})
	if !u.must(t, claims).revoked(claims) {
		t.Error("the first token of a signed-out user was let in")
	}
}

func TestARuleGoesWhenItHasNothingToRefuse(t *testing.T) {
	t.Parallel()
	u, _, claims := setup(t)
	u.revoke(t, rule{issuer: claims.Issuer, kind: bySession, value: claims.Subject})
	err := u.db.Tx(context.Background(), tenantdb.Scope{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), "update identity.revocations set expires_at = now() - interval '1 s' where value = $1", claims.Subject)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	u.revoke(t, rule{issuer: claims.Issuer, kind: bySession, value: "other" + claims.Subject})
	n, err := tenantdb.Row(context.Background(), u.db, tenantdb.Scope{}, pgx.RowTo[int],
		"select count(*) from identity.revocations where value = $1", claims.Subject)
	if err != nil || n != 0 {
		t.Errorf("%d rules left, %v", n, err)
	}
	if ruleKept <= token.MaxLifetime {
		t.Error("a rule goes before the last token that it refuses")
	}
}

// Issuers date tokens by the second. Whoever is told that sessions are revoked may sign in at once.
func TestASignInAfterTheAnswerIsGood(t *testing.T) {
	t.Parallel()
	u, _, claims := setup(t)
	s := &Service{db: u.db, users: u, keys: newKeys(u.db, time.Now), impersonations: newImpersonations(u.db, time.Now, true)}
	user := u.must(t, claims).ID
	if _, err := s.RevokeSessions(asStaff(somebody(t, "platform_admin"), 2, "platform_admin"), user, &RevokeSessionsRequest{}); err != nil {
		t.Fatal(err)
	}
	before, after := *claims, *claims
	before.TokenID, before.IssuedAt = rowid.New().String(), claims.IssuedAt.Truncate(time.Second)
	after.TokenID, after.IssuedAt = rowid.New().String(), time.Now().Truncate(time.Second)
	if !u.must(t, &before).revoked(&before) {
		t.Error("a token from before is let in")
	}
	if u.must(t, &after).revoked(&after) {
		t.Error("a token from after the answer is refused")
	}
}

// Tokens for the platform's console say who is staff; the others must not unsay it.
func TestPlatformRolesAreKeptFromTheConsole(t *testing.T) {
	t.Parallel()
	u, now, claims := setup(t)
	app := *claims
	app.Audience, app.IssuedAt, app.Email = "tenantry-app", claims.IssuedAt.Add(time.Minute), "new@example.test"
	admin := *claims
	admin.Audience, admin.RealmRoles = "tenantry-admin", []string{"platform_support", "offline_access", "platform_admin"}
	if got := u.must(t, &app); len(got.PlatformRoles) != 0 {
		t.Errorf("got %v", got.PlatformRoles)
	}
	// Issued before the other, and still the newest word on roles.
	if got := u.must(t, &admin); len(got.PlatformRoles) != 2 || got.Email != "new@example.test" {
		t.Errorf("got %+v", got)
	}
	now.advance(userFreshness)
	if got := u.must(t, &app); len(got.PlatformRoles) != 2 {
		t.Errorf("a member's token took the roles: %v", got.PlatformRoles)
	}
	admin.RealmRoles, admin.IssuedAt = nil, admin.IssuedAt.Add(time.Hour)
	if got := u.must(t, &admin); len(got.PlatformRoles) != 0 {
		t.Errorf("the console's newer token did not: %v", got.PlatformRoles)
	}
}
