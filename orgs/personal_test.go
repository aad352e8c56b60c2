package orgs

import (
	"context"
	"slices"
	"strings"
	"testing"

	"encore.app/authz"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// impersonal are the columns that could hold text about a person and do not: names of things, states,
// ids of ours, what programs write. Every other one says in the database that it is personal.
var impersonal = map[string]string{
	"audit.deliveries":        "error state",
	"audit.events":            "action actor_id actor_type changes decision_id impersonator_id outcome policy_version request_id resource_id resource_kind",
	"audit.logs":              "checkpoint",
	"audit.sinks":             "disabled_reason events url",
	"authz.decisions":         "action cached decision_id derived_roles digest policy principal reasons resource resource_id resource_kind rules",
	"identity.api_keys":       "name org_roles prefix",
	"identity.logout_tokens":  "issuer jti",
	"identity.revocations":    "issuer kind",
	"identity.users":          "issuer platform_roles status",
	"licensing.customers":     "customer_id subscription_id sync_error",
	"licensing.drifts":        "after before customer_id",
	"licensing.licenses":      "feature_flags limits source tier",
	"licensing.overrides":     "name value",
	"licensing.reservations":  "name",
	"licensing.stripe_events": "customer_id id type",
	"licensing.sync_queue":    "customer_id last_error reason",
	"licensing.usage":         "name",
	"orgs.docs":               "sensitivity",
	"orgs.global_settings":    "key value",
	"orgs.invitations":        "org_roles status",
	"orgs.memberships":        "org_roles",
	"orgs.orgs":               "feature_flags license_tier name slug status",
	"orgs.patient_records":    "sensitivity",
	"orgs.projects":           "sensitivity",
	"orgs.settings":           "key value",
	"orgs.team_memberships":   "team_roles",
	"orgs.teams":              "name",
	"platform.dead_letters":   "body error id queue reason",
	"platform.outbox":         "key last_error topic traceparent",
}

// described is a column and its comment.
type described struct{ Table, Column, Comment string }

func textColumns(t *testing.T) []described {
	t.Helper()
	rows, err := tenantdb.Rows(context.Background(), open().db, tenantdb.Scope{}, pgx.RowToStructByPos[described], `
select c.table_schema || '.' || c.table_name, c.column_name,
       coalesce(col_description(format('%I.%I', c.table_schema, c.table_name)::regclass, c.ordinal_position), '')
  from information_schema.columns c
 where c.table_schema !~ '^(pg_|information_schema$|public$)' and c.udt_name in ('text', 'varchar', 'json', 'jsonb', '_text')
 order by 1, 2`)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 40 {
		t.Fatalf("found only %d columns: this test looks in the wrong place", len(rows))
	}
	return rows
}

func TestEveryTextColumnSaysWhetherItIsPersonal(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, c := range textColumns(t) {
		listed := slices.Contains(strings.Fields(impersonal[c.Table]), c.Column)
		what, personal := strings.CutPrefix(c.Comment, "personal: ")
		switch {
		case !listed && !personal:
			t.Errorf("%s.%s: comment on it in its migration ('personal: what of whom'), or list it as impersonal here", c.Table, c.Column)
		case listed && personal:
			t.Errorf("%s.%s is listed as impersonal and says that it is %s", c.Table, c.Column, what)
		}
		known[c.Table+" "+c.Column] = true
	}
	for table, columns := range impersonal {
		for column := range strings.FieldsSeq(columns) {
			if !known[table+" "+column] {
				t.Errorf("%s.%s is listed and not there", table, column)
			}
		}
	}
}

// What was ever known of an erased person is in no column that could hold it, tagged or not.
func TestAnErasedPersonIsFoundNowhere(t *testing.T) {
	t.Parallel()
	b, other := setup(t), setup(t)
	canary := "canary-" + b.user.String()
	exec := func(scope tenantdb.Scope, sql string, args ...any) {
		t.Helper()
		err := open().db.Tx(context.Background(), scope, func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), sql, args...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	exec(tenantdb.Scope{}, "update identity.users set email = $2 || '@Example.test', username = $2, name = $2 where id = $1", b.user, canary)
	for _, org := range []uuid.UUID{b.org, other.org} {
		exec(tenantdb.Org(org), "update orgs.invitations set email = lower($2 || '@example.test') where org_id = $1", org, canary)
	}
	found := func() (columns []string) {
		for _, c := range textColumns(t) {
			for _, scope := range []tenantdb.Scope{{}, tenantdb.Org(b.org), tenantdb.Org(other.org), platform} {
				if countRows(t, scope, c.Table, "position(lower($1) in lower("+c.Column+"::text)) > 0", canary) > 0 {
					columns = append(columns, c.Table+"."+c.Column)
				}
			}
		}
		slices.Sort(columns)
		return slices.Compact(columns)
	}
	want := []string{"identity.users.email", "identity.users.name", "identity.users.username", "orgs.invitations.email"}
	if got := found(); !slices.Equal(got, want) {
		t.Fatalf("before: found in %v", got)
	}
	ctx := context.Background()
	e, err := orgEvent(ctx, uuid.Nil, "user:erase", authz.Decision{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := open().erasePerson(ctx, b.user, e); err != nil {
		t.Fatal(err)
	}
	if got := found(); len(got) > 0 {
		t.Errorf("after: found in %v", got)
	}
}
