package orgs

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// bundle is an organisation of a test's own with one row in every tenant table.
type bundle struct {
	org, user, staff, team, invitation uuid.UUID
	resource                           uuid.UUID // one of each kind
}

func setup(t testing.TB) bundle {
	t.Helper()
	b := bundle{org: rowid.New(), user: rowid.New(), staff: rowid.New(), team: rowid.New(), invitation: rowid.New(), resource: rowid.New()}
	ctx := principal.NewContext(context.Background(), principal.New(&principal.Caller{UserID: b.user.String()}, nil))
	e := event.New(ctx, b.org, "create", event.Resource{Kind: "org", ID: b.org.String()}, event.Succeeded, authz.Decision{})
	if _, err := open().create(ctx, org{ID: b.org, Slug: "t" + b.org.String(), Name: "Test"}, e); err != nil {
		t.Fatal(err)
	}
	write := func(sql string, args ...any) {
		t.Helper()
		err := open().db.Tx(ctx, tenantdb.Org(b.org), func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sql, args...)
			return err
		})
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	write("insert into orgs.memberships (org_id, user_id, org_roles) values ($1, $2, '{member,owner}')", b.org, b.user)
	write("insert into orgs.teams (org_id, id, name) values ($1, $2, 'team')", b.org, b.team)
	write("insert into orgs.team_memberships (org_id, team_id, user_id, team_roles) values ($1, $2, $3, '{lead}')", b.org, b.team, b.user)
	write("insert into licensing.licenses (org_id, tier, seats, source) values ($1, 'pro', 1, 'manual')", b.org)
	write("insert into licensing.customers (org_id, customer_id) values ($1, $2)", b.org, "cus_"+b.org.String())
	write("insert into licensing.usage (org_id, name, bucket, reserved) values ($1, 'projects', 'epoch', 1)", b.org)
	write(`insert into licensing.reservations (org_id, id, name, bucket, units, expires_at)
		values ($1, $2, 'projects', 'epoch', 1, now())`, b.org, rowid.New())
	run := rowid.New()
	write("insert into licensing.reconciliations (id, customers, finished_at) values ($1, 1, now())", run)
	write("insert into licensing.drifts (org_id, reconciliation_id, customer_id, before, after) values ($1, $2, '', '{}', '{}')", b.org, run)
	write(`insert into audit.events (org_id, id, occurred_at, actor_id, actor_type, impersonator_id, action, resource_kind,
		resource_id, outcome, request_id, decision_id, policy_version, ip, changes)
		values ($1, $2, now(), '', 'user', '', 'read', 'org', '', 'allowed', '', '', '', '', '{}')`, b.org, rowid.New())
	write(`insert into identity.users (id, issuer, subject, email, email_verified, username, name)
		select id, 'https://isolation.test', id::text, '', false, '', '' from unnest($1::uuid[]) id`, []uuid.UUID{b.user, b.staff})
	write(`insert into identity.api_keys (org_id, id, name, org_roles, hash, prefix, created_by, expires_at)
		values ($1, $2, 'key', '{member}', $3, '', $4, now())`, b.org, rowid.New(), b.org[:], b.user)
	write(`insert into identity.impersonations (org_id, id, user_id, impersonator_id, hash, reason, ticket, write, expires_at)
		values ($1, $2, $3, $4, $5, '', '', false, now())`, b.org, rowid.New(), b.user, b.staff, b.org[:])
	auditRows(t, b.org)
	write(`insert into authz.decisions (org_id, decision_id, resource_kind, resource_id, action, allowed, principal, resource,
		reasons, policy, rules, derived_roles, digest, cached)
		values ($1, '', '', '', '', true, '{}', '{}', '{}', '', '{}', '{}', '', '')`, b.org)
	write("insert into orgs.settings (org_id, key, value) values ($1, 'locale.language', '\"fr\"')", b.org)
	write(`insert into orgs.invitations (org_id, id, email, org_roles, token_hash, invited_by, expires_at)
		values ($1, $2, $1::uuid || '@example.test', '{member}', sha256($3), $4, now() + interval '1 day')`,
		b.org, b.invitation, b.invitation[:], b.user)
	for _, k := range kinds {
		again := e
		again.ID = rowid.New()
		r := resource{
			ID: b.resource, OrgID: b.org, TeamID: &b.team, OwnerID: b.user, Title: "t", Sensitivity: "internal",
			PatientRef: "p", ClinicianID: &b.user,
		}
		if _, err := open().createResource(ctx, k, r, again); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// tenantTables are the tables whose rows belong to organisations, with the column that says to which.
// They are read from the catalogue, so that a new one is tested the day it is made.
func tenantTables(t *testing.T) map[string]string {
	t.Helper()
	type found struct{ Table, Column string }
	rows, err := tenantdb.Rows(context.Background(), open().db, tenantdb.Scope{}, pgx.RowToStructByPos[found], `
select table_schema || '.' || table_name, column_name from information_schema.columns
 where table_schema in ('identity', 'orgs', 'licensing', 'audit', 'authz') and column_name = 'org_id'`)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]string{"orgs.orgs": "id"}
	for _, r := range rows {
		tables[r.Table] = r.Column
	}
	if len(tables) < 7 {
		t.Fatalf("only %v", tables)
	}
	return tables
}

func countRows(t *testing.T, scope tenantdb.Scope, table, where string, args ...any) int {
	t.Helper()
	n, err := tenantdb.Row(context.Background(), open().db, scope, pgx.RowTo[int],
		fmt.Sprintf("select count(*) from %s where %s", table, where), args...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// No query here says which organisation it wants: row-level security alone keeps them apart.
func TestRowLevelSecurityHoldsWithoutThePredicate(t *testing.T) {
	t.Parallel()
	ours, theirs := setup(t), setup(t)
	for table, column := range tenantTables(t) {
		t.Run(table, func(t *testing.T) {
			if n := countRows(t, tenantdb.Org(ours.org), table, column+" = $1", ours.org); n == 0 {
				t.Error("our own row is not there: this proves nothing")
			}
			if n := countRows(t, tenantdb.Org(ours.org), table, column+" <> $1", ours.org); n != 0 {
				t.Errorf("%d foreign rows in our scope", n)
			}
			if n := countRows(t, tenantdb.Scope{}, table, "true"); n != 0 {
				t.Errorf("%d rows without a scope", n)
			}
			if n := countRows(t, tenantdb.User(theirs.user), table, column+" = $1", ours.org); n != 0 {
				t.Errorf("%d of our rows in the scope of a user of another organisation", n)
			}
			if slices.ContainsFunc(kinds, func(k kind) bool { return table == "orgs."+k.table }) {
				if n := countRows(t, tenantdb.Platform(), table, "true"); n != 0 {
					t.Errorf("platform staff see %d resources", n)
				}
			}
		})
	}
}

// shared are the tables that no tenant's rows are in, and what is in them instead.
var shared = map[string]string{
	"audit.instance":            "the id of this database",
	"audit.person_keys":         "keys of people, who belong to several tenants",
	"authz.cache_key":           "a key of the replicas",
	"authz.epochs":              "how often something changed",
	"edge.idempotency_keys":     "answers, each encrypted under its caller's key",
	"identity.logout_tokens":    "tokens that were used",
	"identity.revocations":      "tokens that are refused",
	"identity.users":            "people, who belong to several tenants",
	"licensing.overrides":       "the platform's word on features",
	"licensing.reconciliations": "runs over every customer",
	"licensing.stripe_events":   "ids of Stripe's",
	"licensing.sync_queue":      "ids of Stripe's",
	"platform.dead_letters":     "messages, which hold ids",
	"platform.outbox":           "messages on their way",
	"public.schema_migrations":  "the version of the schema",
}

// The catalogue of all tables is asked, so that one that nobody thought of is found too.
func TestRowLevelSecurityIsForced(t *testing.T) {
	t.Parallel()
	type table struct {
		Name          string
		Forced, Owned bool // Owned: a column says whose a row is
	}
	tables, err := tenantdb.Rows(context.Background(), open().db, tenantdb.Scope{}, pgx.RowToStructByPos[table], `
select n.nspname || '.' || c.relname, c.relrowsecurity and c.relforcerowsecurity,
       exists (select from pg_attribute a where a.attrelid = c.oid and a.attname in ('org_id', 'tenant_id'))
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p', 'm', 'v', 'f') and n.nspname !~ '^(pg_|information_schema$)'`)
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) < 30 {
		t.Fatalf("found only %d tables: this test looks in the wrong place", len(tables))
	}
	seen := map[string]bool{}
	for _, x := range tables {
		seen[x.Name] = true
		switch _, free := shared[x.Name]; {
		case free && x.Owned:
			t.Errorf("%s is listed as shared and has a tenant's rows", x.Name)
		case !free && !x.Forced:
			t.Errorf("%s is not under forced row-level security", x.Name)
		}
	}
	for name := range shared {
		if !seen[name] {
			t.Errorf("%s is listed and not there", name)
		}
	}
	if n := countRows(t, tenantdb.Scope{}, "pg_roles", "rolname = current_user and (rolsuper or rolbypassrls)"); n != 0 {
		t.Error("the app runs as a role that row-level security does not bind")
	}
}

func TestWritesCannotLeaveTheScope(t *testing.T) {
	t.Parallel()
	ours, theirs := setup(t), setup(t)
	ctx := context.Background()
	for name, sql := range map[string]string{
		"insert": "insert into orgs.teams (org_id, id, name) values ('" + theirs.org.String() + "', '" + rowid.New().String() + "', 'x')",
		"move":   "update orgs.teams set org_id = '" + theirs.org.String() + "'",
	} {
		err := open().db.Tx(ctx, tenantdb.Org(ours.org), func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sql)
			return err
		})
		if err == nil {
			t.Errorf("%s into another organisation went through", name)
		}
	}
	err := open().db.Tx(ctx, tenantdb.Org(ours.org), func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "delete from orgs.projects")
		if err == nil && tag.RowsAffected() != 1 {
			t.Errorf("deleted %d rows, ours is 1", tag.RowsAffected())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := countRows(t, tenantdb.Org(theirs.org), "orgs.projects", "true"); n != 1 {
		t.Errorf("they have %d projects left", n)
	}
}

func TestTheScopeDoesNotOutliveItsTransaction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 20 { // the pool hands the same connections out again
		if n := countRows(t, tenantdb.Org(b.org), "orgs.projects", "true"); n != 1 {
			t.Fatalf("own scope: %d", n)
		}
		if n := countRows(t, tenantdb.Scope{}, "orgs.projects", "true"); n != 0 {
			t.Fatalf("no scope: %d", n)
		}
	}
}
