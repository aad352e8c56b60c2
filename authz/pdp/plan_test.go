package pdp_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"encore.app/authz/filter"
	"encore.app/authz/pdp"
	"encore.app/authz/principal"
	"github.com/jackc/pgx/v5"
)

const (
	self, somebody   = "00000000-0000-7000-8000-00000000000a", "00000000-0000-7000-8000-00000000000b"
	ourTeam, another = "00000000-0000-7000-8000-0000000000a1", "00000000-0000-7000-8000-0000000000a2"
)

// columns are those of the table below, as the sample resources have them.
var columns = map[string]filter.Column{
	"team_id":      {SQL: "team_id", Type: filter.UUID, Null: filter.NullIsZero},
	"owner_id":     {SQL: "owner_id", Type: filter.UUID},
	"sensitivity":  {SQL: "sensitivity", Type: filter.Text},
	"pii":          {SQL: "pii", Type: filter.Bool},
	"clinician_id": {SQL: "clinician_id", Type: filter.UUID, Null: filter.NullIsZero},
}

// rows is every combination of what the policies look at.
const rows = `CREATE TEMP TABLE rows AS
SELECT row_number() OVER ()::int AS id, team_id::uuid, owner_id::uuid, sensitivity, pii, clinician_id::uuid
FROM (VALUES (NULL), ('` + ourTeam + `'), ('` + another + `')) t(team_id),
     (VALUES ('` + self + `'), ('` + somebody + `')) o(owner_id),
     (VALUES ('public'), ('internal'), ('confidential'), ('restricted')) s(sensitivity),
     (VALUES (true), (false)) p(pii),
     (VALUES (NULL), ('` + self + `'), ('` + somebody + `')) c(clinician_id)`

// planned are the kinds whose lists are planned, by the action that plans them.
var planned = map[string]string{"project": "read", "doc": "read", "patient_record": "read"}

// TestPlansSelectWhatChecksAllow plans every listable kind for every shape of
// caller, translates the plan, and compares the rows that Postgres selects with
// the decisions made row by row.
func TestPlansSelectWhatChecksAllow(t *testing.T) {
	t.Parallel()
	url := os.Getenv("DATABASE_URL")
	if url == "" {
		t.Fatal("this test needs Postgres: set DATABASE_URL")
	}
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.WithoutCancel(t.Context())) })
	if _, err := db.Exec(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	attrs := loadRows(t, db)
	c := client(t)
	compared, allowed := 0, 0
	for kind, action := range planned {
		for name, p := range shapes() {
			known := map[string]any{"org_id": acme, "org_status": "active", "license_tier": "enterprise"}
			plan, err := c.Plan(t.Context(), p, action, kind, known)
			if err != nil {
				t.Fatalf("%s %s: %v", kind, name, err)
			}
			where, args, err := plan.SQL(columns, 1)
			if err != nil {
				t.Fatalf("%s %s: %v", kind, name, err)
			}
			selected := query(t, db, "SELECT id FROM rows WHERE "+where+" ORDER BY id", args)
			var queries []pdp.Query
			for id, attr := range attrs {
				r := resource(kind, attr)
				r.ID = fmt.Sprint(id + 1)
				queries = append(queries, pdp.Query{Resource: r, Actions: []string{action}})
			}
			decisions, err := c.CheckAll(t.Context(), p, queries)
			if err != nil {
				t.Fatal(err)
			}
			var want []int
			for i, d := range decisions {
				if d[action].Allowed {
					want = append(want, i+1)
				}
			}
			compared, allowed = compared+len(decisions), allowed+len(want)
			if !slices.Equal(selected, want) {
				t.Errorf("%s %s: %s %v\nselects %v\nallowed %v", kind, name, where, args, selected, want)
			}
		}
	}
	if allowed == 0 || allowed == compared {
		t.Errorf("%d of %d decisions allow: nothing was compared", allowed, compared)
	}
	t.Logf("%d decisions, %d allowed", compared, allowed)
}

// shapes are callers that differ in anything that a policy looks at.
func shapes() map[string]*principal.Principal {
	out := map[string]*principal.Principal{}
	add := func(name string, c principal.Caller, t *principal.Tenant) {
		if c.UserID == "" {
			c.UserID = self
		}
		if c.Audience == "" {
			c.Audience = "tenantry-app"
		}
		out[name] = principal.New(&c, t)
	}
	tenant := func(role, tier, status string, teams ...principal.Team) *principal.Tenant {
		return &principal.Tenant{OrgID: acme, Status: status, Tier: tier, OrgRoles: []string{role}, Teams: teams}
	}
	teams := map[string][]principal.Team{
		"no team": nil,
		"member":  {{ID: ourTeam, Roles: []string{"member"}}},
		"two":     {{ID: ourTeam, Roles: []string{"lead"}}, {ID: another, Roles: []string{"member"}}},
	}
	for _, role := range []string{"owner", "admin", "billing", "auditor", "member", "guest"} {
		for team, of := range teams {
			for _, mfa := range []int{1, 2} {
				add(fmt.Sprint(role, ", ", team, ", mfa ", mfa), principal.Caller{MFALevel: mfa}, tenant(role, "enterprise", "active", of...))
				add(fmt.Sprint(role, ", ", team, ", mfa ", mfa, ", impersonated"), principal.Caller{MFALevel: mfa, ImpersonatorID: somebody}, tenant(role, "enterprise", "active", of...))
			}
		}
	}
	two := teams["two"]
	add("free tier", principal.Caller{MFALevel: 2}, tenant("owner", "free", "active", two...))
	add("suspended", principal.Caller{MFALevel: 2}, tenant("owner", "enterprise", "suspended", two...))
	add("console", principal.Caller{MFALevel: 2, Audience: "tenantry-org"}, tenant("owner", "enterprise", "active", two...))
	add("key", principal.Caller{APIKeyID: somebody}, tenant("owner", "enterprise", "active"))
	add("no organisation", principal.Caller{MFALevel: 2}, nil)
	add("other organisation", principal.Caller{MFALevel: 2}, &principal.Tenant{OrgID: globex, Status: "active", Tier: "enterprise", OrgRoles: []string{"owner"}, Teams: two})
	add("staff", principal.Caller{MFALevel: 2, Audience: "tenantry-admin", RealmRoles: []string{"platform_admin"}}, nil)
	add("support", principal.Caller{MFALevel: 2, RealmRoles: []string{"platform_support"}}, nil)
	return out
}

func loadRows(t *testing.T, db *pgx.Conn) []map[string]any {
	t.Helper()
	found, err := db.Query(t.Context(), `SELECT coalesce(team_id::text, ''), owner_id::text, sensitivity, pii, coalesce(clinician_id::text, '') FROM rows ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (map[string]any, error) {
		var team, owner, sensitivity, clinician string
		var pii bool
		err := row.Scan(&team, &owner, &sensitivity, &pii, &clinician)
		return map[string]any{"team_id": team, "owner_id": owner, "sensitivity": sensitivity, "pii": pii, "clinician_id": clinician}, err
	})
	if err != nil || len(out) == 0 {
		t.Fatal(len(out), err)
	}
	return out
}

func query(t *testing.T, db *pgx.Conn, sql string, args []any) []int {
	t.Helper()
	found, err := db.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	out, err := pgx.CollectRows(found, pgx.RowTo[int])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}
