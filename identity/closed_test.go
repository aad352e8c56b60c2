package identity

import (
	"context"
	"testing"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5/pgxpool"
)

// nowhere is a database that nobody reaches.
func nowhere(t *testing.T) *tenantdb.DB {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), "postgres://nobody@127.0.0.1:1/none?sslmode=disable&connect_timeout=1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return tenantdb.New(pool)
}

// Without the database nobody can say what was revoked: nobody is let in, whatever is remembered.
func TestNoDatabaseLetsNobodyIn(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	u, now, claims := setup(t)
	u.must(t, claims)
	u.db = nowhere(t)
	if _, err := u.of(ctx, claims); err != nil {
		t.Errorf("what was read a moment ago: %v", err)
	}
	now.advance(userFreshness)
	if _, err := u.of(ctx, claims); fault.DetailsOf(err).Reason != fault.DependencyUnavailable {
		t.Errorf("a token: %v", err)
	}
	hash := digest{1}
	for name, ask := range map[string]func() error{
		"a key": func() error {
			_, err := newKeys(u.db, now.Now).caller(ctx, rowid.New(), hash)
			return err
		},
		"an impersonation": func() error {
			_, err := newImpersonations(u.db, now.Now, true).caller(ctx, rowid.New(), hash)
			return err
		},
	} {
		if err := ask(); fault.DetailsOf(err).Reason != fault.DependencyUnavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}
