package identity

import (
	"context"
	"sync"
	"testing"
	"time"

	"encore.app/identity/token"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func setup(t *testing.T) (*users, *clock, *token.Claims) {
	t.Helper()
	c := &clock{now: time.Now()}
	u := newUsers(open(), c.Now)
	// The first connection of a run takes as long as the machine is busy; a load has a bound.
	if err := u.db.Pool().Ping(context.Background()); err != nil {
		t.Fatal(err)
	}
	return u, c, &token.Claims{Issuer: "https://id.test", Subject: rowid.New().String(), Email: "a@example.test", Username: "a", Name: "A", IssuedAt: c.now}
}

func (u *users) must(t *testing.T, c *token.Claims) shadow {
	t.Helper()
	user, err := u.of(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return user
}

func set(t *testing.T, u *users, id uuid.UUID, sql string) {
	t.Helper()
	err := u.db.Tx(context.Background(), tenantdb.Scope{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), "update identity.users set "+sql+" where id = $1", id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAUserIsTheIssuersSubject(t *testing.T) {
	t.Parallel()
	u, _, claims := setup(t)
	first := u.must(t, claims)
	elsewhere := *claims
	elsewhere.Issuer = "https://other.test"
	if other := u.must(t, &elsewhere); other.ID == first.ID {
		t.Error("one person for two issuers: the e-mail is no key")
	}
	renamed := *claims
	renamed.Email, renamed.Username, renamed.IssuedAt = "b@example.test", "b", claims.IssuedAt.Add(time.Second)
	if same := u.must(t, &renamed); same.ID != first.ID || same.Email != "b@example.test" {
		t.Errorf("a new e-mail made %+v of %+v", same, first)
	}
	if same := u.must(t, claims); same.ID != first.ID || same.Email != "b@example.test" {
		t.Errorf("an older token brought the old e-mail back: %+v", same)
	}
}

func TestFirstSightIsOneRowHoweverManySeeIt(t *testing.T) {
	t.Parallel()
	u, _, claims := setup(t)
	other := newUsers(u.db, u.now) // a second replica
	ids := make(chan uuid.UUID, 40)
	var wg sync.WaitGroup
	for i := range cap(ids) {
		wg.Go(func() {
			replica := u
			if i%2 == 1 {
				replica = other
			}
			user, err := replica.of(context.Background(), claims)
			if err != nil {
				t.Error(err)
			}
			ids <- user.ID
		})
	}
	wg.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first {
			t.Fatalf("two rows for one person: %s and %s", first, id)
		}
	}
}

func TestAUserWhoIsTurnedOffIsSeenToBeWithinTheFreshness(t *testing.T) {
	t.Parallel()
	u, now, claims := setup(t)
	user := u.must(t, claims)
	set(t, u, user.ID, "status = 'disabled'")
	now.advance(userFreshness)
	if got := u.must(t, claims); got.Status != "disabled" {
		t.Errorf("still %s after %s", got.Status, userFreshness)
	}
	if userFreshness > 5*time.Second {
		t.Errorf("%s is longer than the 5 s that are promised", userFreshness)
	}
}

func TestSeeingAUserWritesNothing(t *testing.T) {
	t.Parallel()
	u, now, claims := setup(t)
	user := u.must(t, claims)
	version := func() string {
		v, err := tenantdb.Row(context.Background(), u.db, tenantdb.Scope{}, pgx.RowTo[string],
			"select xmin::text from identity.users where id = $1", user.ID)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := version()
	for range 5 {
		now.advance(userFreshness)
		u.must(t, claims)
	}
	if version() != before {
		t.Error("the row was written though nothing had changed")
	}
	set(t, u, user.ID, "status = 'erased', email = ''")
	before = version()
	now.advance(userFreshness)
	if got := u.must(t, claims); got.Status != "erased" || got.Email != "" || version() != before {
		t.Errorf("a sign-in brought personal data of an erased user back: %+v", got)
	}
}

func TestEveryReasonOfTheVerifierHasAnAnswer(t *testing.T) {
	t.Parallel()
	for _, reason := range []token.Reason{
		token.Malformed, token.WrongType, token.BadSignature, token.WrongIssuer, token.WrongAudience, token.Expired,
	} {
		e := refusal(&token.Error{Reason: reason})
		if e.Code != errs.Unauthenticated || fault.DetailsOf(e).Reason != fault.Reason(reason) || e.Message == "" {
			t.Errorf("%s: got %+v", reason, e)
		}
	}
	if e := refusal(&token.Error{Reason: token.KeysUnavailable}); e.Code != errs.Unavailable || fault.DetailsOf(e).Part != "oidc" {
		t.Errorf("no keys: got %+v", e)
	}
}
