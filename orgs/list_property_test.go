package orgs

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// crowd is an organisation whose rows, teams and people were drawn at random.
type crowd struct {
	org    uuid.UUID
	people []uuid.UUID
	teams  []uuid.UUID
	rows   map[string][]resource // kind → rows that are not deleted
}

const rowsPerKind = 80

func drawCrowd(t *testing.T, r *rand.Rand) crowd {
	t.Helper()
	b := setup(t)
	c := crowd{org: b.org, rows: map[string][]resource{}}
	for range 6 {
		c.people, c.teams = append(c.people, rowid.New()), append(c.teams, rowid.New())
	}
	ctx := context.Background()
	err := open().db.Tx(ctx, tenantdb.Org(b.org), func(tx pgx.Tx) error {
		for i, team := range c.teams {
			if _, err := tx.Exec(ctx, "insert into orgs.teams (org_id, id, name) values ($1, $2, $3)", b.org, team, string(rune('a'+i))); err != nil {
				return err
			}
		}
		for _, k := range kinds {
			if _, err := tx.Exec(ctx, "delete from orgs."+k.table); err != nil { // those of setup
				return err
			}
			for range rowsPerKind {
				x := c.draw(r, k)
				args := append([]any{x.OrgID, x.ID, x.TeamID, x.OwnerID, x.Title, x.Body, x.Sensitivity, x.PII}, k.own(x)...)
				if _, err := tx.Exec(ctx, k.insertOne(), args...); err != nil {
					return err
				}
				if r.IntN(10) == 0 {
					if _, err := tx.Exec(ctx, k.deleteOne(), x.OrgID, x.ID, 1); err != nil {
						return err
					}
					continue
				}
				c.rows[k.name] = append(c.rows[k.name], x)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c crowd) draw(r *rand.Rand, k kind) resource {
	x := resource{
		ID: rowid.New(), OrgID: c.org, OwnerID: pick(r, c.people), Title: "t", PII: r.IntN(3) == 0,
		Sensitivity: pick(r, []string{"public", "internal", "confidential", "restricted"}),
	}
	if r.IntN(3) > 0 {
		team := pick(r, c.teams)
		x.TeamID = &team
	}
	if k.clinical {
		clinician := pick(r, c.people)
		x.PatientRef, x.ClinicianID = "P-1", &clinician
	}
	return x
}

// caller is anybody that a request could come from, members and strangers, people and keys.
func (c crowd) caller(r *rand.Rand) *principal.Principal {
	who := &principal.Caller{
		UserID: pick(r, c.people).String(), MFALevel: r.IntN(3), AuthTime: time.Now(),
		Audience: pick(r, []string{principal.AudienceApp, principal.AudienceApp, principal.AudienceApp, principal.AudienceOrg}),
	}
	switch r.IntN(8) {
	case 0:
		who.ImpersonatorID, who.Write = rowid.New().String(), r.IntN(2) == 0
	case 1:
		who.APIKeyID = rowid.New().String()
	case 2:
		who.AuthTime = time.Now().Add(-2 * principal.StaleAuthAfter)
	}
	if r.IntN(12) == 0 {
		return principal.New(who, nil)
	}
	in := &principal.Tenant{
		OrgID: c.org.String(), Slug: "s", Status: pick(r, []string{"active", "active", "active", "suspended"}),
		Tier: pick(r, []string{"free", "pro", "enterprise", "enterprise", "enterprise", "enterprise"}),
	}
	for _, role := range []string{"owner", "admin", "billing", "auditor", "member", "member", "member", "guest"} {
		if r.IntN(5) == 0 {
			in.OrgRoles = append(in.OrgRoles, role)
		}
	}
	for _, team := range c.teams {
		if r.IntN(3) == 0 {
			in.Teams = append(in.Teams, principal.Team{ID: team.String(), Roles: []string{pick(r, []string{"lead", "member"})}})
		}
	}
	return principal.New(who, in)
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// listed are the rows that the caller's list has, page by page.
func (c crowd) listed(ctx context.Context, k kind) ([]string, error) {
	visible, args, err := authz.Visible(ctx, k.name, c.org.String(), k.columns(), 4)
	if err != nil {
		if errs.Code(err) == errs.PermissionDenied {
			return nil, nil // refused rather than shown an empty list
		}
		return nil, err
	}
	var ids []string
	for after := uuid.Nil; ; {
		rows, err := open().resources(ctx, k, c.org, after, 17, visible, args)
		if err != nil || len(rows) == 0 {
			return ids, err
		}
		for _, row := range rows {
			ids = append(ids, row.ID.String())
		}
		after = rows[len(rows)-1].ID
	}
}

// allowed are the rows that a check of each one lets the caller read.
func (c crowd) allowed(ctx context.Context, p *principal.Principal, k kind) ([]string, error) {
	var ids []string
	for batch := range slices.Chunk(c.rows[k.name], mostChecks) {
		questions := make([]authz.Question, len(batch))
		for i, row := range batch {
			questions[i] = authz.Question{Resource: row.attributes(k), Actions: []string{"read"}}
		}
		answers, err := authz.CheckAll(ctx, p, questions)
		if err != nil {
			return nil, err
		}
		for i, answer := range answers {
			if answer["read"].Allowed {
				ids = append(ids, batch[i].ID.String())
			}
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// patiently asks again when the PDP had no time, as on a machine that runs much else.
func patiently(t *testing.T, ask func() ([]string, error)) []string {
	t.Helper()
	for n := 1; ; n++ {
		ids, err := ask()
		if err == nil {
			return ids
		}
		if n == 10 || fault.DetailsOf(err).Reason != fault.DependencyUnavailable {
			t.Fatal(err)
		}
	}
}

// The SQL that the policies' plan becomes, and a check of every row, are two ways to the same answer.
func TestAListHoldsExactlyWhatACheckOfEachRowAllows(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 3))
	defer func() {
		if t.Failed() {
			t.Logf("drawn from %d", seed)
		}
	}()
	c := drawCrowd(t, r)
	sizes := map[string]map[string]int{} // kind → none, some or all of its rows
	for range 40 {
		p := c.caller(r)
		ctx := principal.NewContext(context.Background(), p)
		for _, k := range kinds {
			want := patiently(t, func() ([]string, error) { return c.allowed(ctx, p, k) })
			got := patiently(t, func() ([]string, error) { return c.listed(ctx, k) })
			if !slices.Equal(got, want) {
				t.Errorf("%s for %+v in %+v: %d listed, %d allowed", k.name, p.Caller, p.Tenant, len(got), len(want))
			}
			size := "some"
			switch len(want) {
			case 0:
				size = "none"
			case len(c.rows[k.name]):
				size = "all"
			}
			if sizes[k.name] == nil {
				sizes[k.name] = map[string]int{}
			}
			sizes[k.name][size]++
		}
	}
	for kind, n := range sizes {
		if n["some"] == 0 || n["none"] == 0 {
			t.Errorf("%s: the callers drawn prove little: %v", kind, n)
		}
	}
}
