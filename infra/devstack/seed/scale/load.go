package scale

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// tables are filled in this order.
var tables = []string{
	"identity.users", "orgs.orgs", "licensing.licenses", "orgs.memberships", "orgs.teams", "orgs.team_memberships",
	"orgs.projects", "orgs.docs", "orgs.patient_records",
}

// COPY refuses tables under row-level security, and checks foreign keys a row at a time. So, in the
// one transaction that fills them, the owner of the tables is let past the policies, and the keys
// come back at the end, when Postgres checks all rows with one join. Nobody else ever sees the tables
// so: they are locked until then.
type opened struct {
	tx   pgx.Tx
	keys []foreignKey
}

type foreignKey struct{ Table, Name, Definition string }

func unlock(ctx context.Context, tx pgx.Tx) (*opened, error) {
	rows, err := tx.Query(ctx, `
select conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid)
  from pg_constraint where contype = 'f' and conrelid = any($1::regclass[]) order by 1, 2`, tables)
	if err != nil {
		return nil, err
	}
	o := &opened{tx: tx}
	if o.keys, err = pgx.CollectRows(rows, pgx.RowToStructByPos[foreignKey]); err != nil {
		return nil, err
	}
	var sql strings.Builder
	for _, table := range tables {
		fmt.Fprintf(&sql, "alter table %s no force row level security;\n", table)
	}
	for _, k := range o.keys {
		fmt.Fprintf(&sql, "alter table %s drop constraint %s;\n", k.Table, k.Name)
	}
	_, err = tx.Exec(ctx, sql.String())
	return o, err
}

// lock puts everything back as it was. The users' table alone is not a tenant's.
func (o *opened) lock(ctx context.Context) error {
	var sql strings.Builder
	for _, k := range o.keys {
		fmt.Fprintf(&sql, "alter table %s add constraint %s %s;\n", k.Table, k.Name, k.Definition)
	}
	for _, table := range tables[1:] {
		fmt.Fprintf(&sql, "alter table %s force row level security;\n", table)
	}
	_, err := o.tx.Exec(ctx, sql.String())
	return err
}

// put writes the rows and says how many there are.
func (b *rows) put(ctx context.Context, tx pgx.Tx) (n int64, err error) {
	for _, c := range b.copies() {
		schema, table, _ := strings.Cut(c.table, ".")
		copied, err := tx.CopyFrom(ctx, pgx.Identifier{schema, table}, c.columns, pgx.CopyFromSlice(c.rows, c.row))
		if err != nil {
			return n, fmt.Errorf("%s: %w", c.table, err)
		}
		n += copied
	}
	return n, nil
}

// copied is one table's part of a batch.
type copied struct {
	table   string
	columns []string
	rows    int
	row     func(int) ([]any, error)
}

func (b *rows) copies() []copied {
	out := []copied{
		{"identity.users", []string{"id", "issuer", "subject", "email", "email_verified", "username", "name", "created_at"}, len(b.users),
			func(i int) ([]any, error) {
				u := &b.users[i]
				return []any{u.id, b.issuer, fmt.Sprintf("seed-%x", u.id), u.email, true, u.nick, u.name, u.created}, nil
			}},
		{"orgs.orgs", []string{"id", "slug", "name", "license_tier", "seats", "created_at"}, len(b.orgs),
			func(i int) ([]any, error) {
				t := &b.orgs[i]
				return []any{t.id, t.slug, t.name, t.tier, t.members + spareSeats, t.created}, nil
			}},
		{"licensing.licenses", []string{"org_id", "tier", "seats", "source"}, len(b.orgs),
			func(i int) ([]any, error) {
				t := &b.orgs[i]
				return []any{t.id, t.tier, t.members + spareSeats, "manual"}, nil
			}},
		{"orgs.memberships", []string{"org_id", "user_id", "org_roles", "created_at"}, len(b.memberships),
			func(i int) ([]any, error) {
				m := &b.memberships[i]
				return []any{m.org, m.user, m.roles, m.created}, nil
			}},
		{"orgs.teams", []string{"org_id", "id", "name", "created_at"}, len(b.teams),
			func(i int) ([]any, error) {
				t := &b.teams[i]
				return []any{t.org, t.id, t.name, t.created}, nil
			}},
		{"orgs.team_memberships", []string{"org_id", "team_id", "user_id", "team_roles", "created_at"}, len(b.teamMemberships),
			func(i int) ([]any, error) {
				m := &b.teamMemberships[i]
				return []any{m.org, m.team, m.user, m.roles, m.created}, nil
			}},
	}
	columns := []string{"org_id", "id", "team_id", "owner_id", "title", "body", "sensitivity", "pii", "created_at", "updated_at", "deleted_at"}
	for n, table := range resourceTables {
		var of []*resource
		for i := range b.resources {
			if b.resources[i].table == n {
				of = append(of, &b.resources[i])
			}
		}
		clinical := table == "patient_records"
		own := columns
		if clinical {
			own = append(columns[:len(columns):len(columns)], "patient_ref", "clinician_id")
		}
		out = append(out, copied{"orgs." + table, own, len(of), func(i int) ([]any, error) {
			x := of[i]
			row := []any{x.org, x.id, x.team, x.owner, x.title, x.body, x.sensitivity, x.pii, x.created, x.created, x.deleted}
			if clinical {
				row = append(row, x.patient, x.clinician)
			}
			return row, nil
		}})
	}
	return out
}

// spareSeats are those that a licence has beyond its members.
const spareSeats = 5

// there says whether the plan's first tenant is there, and with it all of them.
func there(ctx context.Context, tx pgx.Tx, plan []tenant) (yes bool, err error) {
	err = tx.QueryRow(ctx, "select exists (select from orgs.orgs where id = $1 and set_config('app.platform', 'on', true) = 'on')", plan[0].id).Scan(&yes)
	return yes, err
}
