package identity

import (
	"context"
	"testing"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

func TestProfilesAreThoseThatAreKnown(t *testing.T) {
	t.Parallel()
	u, _, claims := setup(t)
	claims.Email, claims.EmailVerified = rowid.New().String()+"@Example.test", true
	user := u.must(t, claims)
	stranger := rowid.New()
	got, err := Profiles(context.Background(), []uuid.UUID{user.ID, stranger})
	if err != nil || len(got) != 1 || got[user.ID] != (Profile{ID: user.ID, Email: claims.Email, Username: "a", Name: "A", Status: statusActive}) {
		t.Errorf("got %+v, %v", got, err)
	}
	ids, err := ByEmail(context.Background(), claims.Email)
	if err != nil || len(ids) != 1 || ids[0] != user.ID {
		t.Errorf("by e-mail: %v, %v", ids, err)
	}
	set(t, u, user.ID, "email_verified = false")
	if ids, err := ByEmail(context.Background(), claims.Email); err != nil || len(ids) != 0 {
		t.Errorf("an address that nobody vouches for was found: %v, %v", ids, err)
	}
}

func TestErasureLeavesATombstone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	u, now, claims := setup(t)
	user := u.must(t, claims)
	erase := func(id uuid.UUID) (was Profile, err error) {
		err = u.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
			was, err = Erase(ctx, tx, id)
			return err
		})
		return was, err
	}
	if was, err := erase(user.ID); err != nil || was.Email != claims.Email || was.Status != statusActive {
		t.Fatalf("was %+v, %v", was, err)
	}
	if was, err := erase(user.ID); err != nil || was != (Profile{ID: user.ID, Status: statusErased}) {
		t.Errorf("again: was %+v, %v", was, err)
	}
	now.advance(userFreshness)
	if got := u.must(t, claims); got.Status != statusErased || got.Email != "" || got.ID != user.ID {
		t.Errorf("the person came back: %+v", got)
	}
	if _, err := erase(rowid.New()); fault.DetailsOf(err).Reason != fault.NotFoundReason {
		t.Errorf("a stranger: %v", err)
	}
}
