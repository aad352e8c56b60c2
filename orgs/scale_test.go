package orgs

import (
	"context"
	"testing"

	"encore.app/infra/devstack/seed/scale"
	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
)

// connect opens connections of one's own to the database of this test.
func connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := open().db.Pool().Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	return pgx.ConnectConfig(ctx, conn.Conn().Config())
}

func counted(t testing.TB, sql string, args ...any) int {
	t.Helper()
	n, err := tenantdb.Row(context.Background(), open().db, tenantdb.Platform(), pgx.RowTo[int], sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Not in parallel: the seed locks one table after the other, whole.
func TestTheSeedIsTheSameEveryTimeAndLeavesTheRestAlone(t *testing.T) {
	ctx := context.Background()
	demo := setup(t)
	if counted(t, "select pg_has_role(relowner, 'usage')::int from pg_class where oid = 'orgs.orgs'::regclass") == 0 {
		t.Skip("NOT RUN: the tests' role does not own the tables, as under Encore; make test has one that does")
	}
	before := countRows(t, tenantdb.Org(demo.org), "orgs.projects", "true")
	const guards = `select (select count(*) from pg_constraint where contype = 'f' and convalidated)
		+ 1000 * (select count(*) from pg_class where relrowsecurity and relforcerowsecurity)`
	guarded := counted(t, guards)
	cfg := scale.Config{Connect: connect, Tenants: 20, PerTenant: 50, Random: 0xbeef}
	first, err := scale.Run(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if first.Tenants != 20 || first.Resources < 900 || first.Resources > 1100 {
		t.Errorf("got %+v", first)
	}
	if n := counted(t, guards); n != guarded {
		t.Errorf("foreign keys and forced policies were %d, are %d", guarded, n)
	}
	const seeded = "select count(*) from orgs.orgs where slug like 'seed-beef-%'"
	if n := counted(t, seeded); n != 20 {
		t.Errorf("%d tenants", n)
	}
	again, err := scale.Run(ctx, cfg)
	if err != nil || again.Tenants != 0 || again.Rows != 0 {
		t.Errorf("once more: %+v, %v", again, err)
	}
	orgs, err := tenantdb.Rows(ctx, open().db, tenantdb.Platform(), pgx.RowToStructByPos[org], "select "+orgColumns+" from orgs.orgs o where o.slug like 'seed-beef-%' order by o.id")
	if err != nil {
		t.Fatal(err)
	}
	rows, deleted, members := 0, 0, 0
	for _, o := range orgs {
		scope := tenantdb.Org(o.ID)
		for _, k := range kinds {
			rows += countRows(t, scope, "orgs."+k.table, "true")
			deleted += countRows(t, scope, "orgs."+k.table, "deleted_at is not null")
		}
		members += countRows(t, scope, "orgs.memberships", "true")
		if countRows(t, scope, "orgs.memberships", "'owner' = any(org_roles)") != 1 || countRows(t, scope, "licensing.licenses", "tier = $1", o.Tier) != 1 {
			t.Errorf("%s has no owner or no licence", o.Slug)
		}
	}
	if int64(rows) != first.Resources || deleted == 0 || members < 40 {
		t.Errorf("%d resources, %d deleted, %d members: %+v", rows, deleted, members, first)
	}
	if got := countRows(t, tenantdb.Org(demo.org), "orgs.projects", "true"); got != before {
		t.Errorf("somebody else's projects: %d, were %d", got, before)
	}
}
