package orgs

import (
	"context"
	"slices"
	"strings"
	"testing"

	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
)

// impersonal are the columns that could hold text about a person and do not: names of things, states,
// ids of ours, what programs write. Every other one says in the database that it is personal.
var impersonal = map[string]string{
	"audit.deliveries":       "error state",
	"audit.events":           "action actor_id actor_type changes decision_id impersonator_id outcome policy_version request_id resource_id resource_kind",
	"audit.logs":             "checkpoint",
	"audit.sinks":            "disabled_reason events url",
	"identity.api_keys":      "name org_roles prefix",
	"identity.logout_tokens": "issuer jti",
	"identity.revocations":   "issuer kind",
	"identity.users":         "issuer platform_roles status",
	"licensing.customers":    "customer_id subscription_id sync_error",
	"licensing.licenses":     "feature_flags source tier",
	"licensing.reservations": "name",
	"licensing.usage":        "name",
	"orgs.docs":              "sensitivity",
	"orgs.invitations":       "org_roles status",
	"orgs.memberships":       "org_roles",
	"orgs.orgs":              "feature_flags license_tier name slug status",
	"orgs.patient_records":   "sensitivity",
	"orgs.projects":          "sensitivity",
	"orgs.settings":          "key value",
	"orgs.team_memberships":  "team_roles",
	"orgs.teams":             "name",
}

// described is a column of a table that belongs to tenants or users, and its comment.
type described struct{ Table, Column, Comment string }

func textColumns(t *testing.T) []described {
	t.Helper()
	rows, err := tenantdb.Rows(context.Background(), open().db, tenantdb.Scope{}, pgx.RowToStructByPos[described], `
select c.table_schema || '.' || c.table_name, c.column_name,
       coalesce(col_description(format('%I.%I', c.table_schema, c.table_name)::regclass, c.ordinal_position), '')
  from information_schema.columns c
 where c.table_schema in ('identity', 'orgs', 'licensing', 'audit') and c.udt_name in ('text', 'varchar', 'json', 'jsonb', '_text')
   and (c.table_schema = 'identity' or c.table_name = 'orgs' or exists (
        select from information_schema.columns o
         where o.table_schema = c.table_schema and o.table_name = c.table_name and o.column_name = 'org_id'))
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
