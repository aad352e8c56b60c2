package orgs

import (
	"context"

	"encore.app/audit"
	"encore.app/identity"
	"encore.app/infra/platform/archive"
	"encore.app/orgs/setting"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Holding is what a service above this one keeps for organisations. It goes into their exports, and
// goes when they are erased.
type Holding struct {
	// Archive writes it, in the snapshot of an export.
	Archive func(ctx context.Context, tx pgx.Tx, org uuid.UUID, out *archive.Writer) error
	// Lock keeps others from changing it until tx ends. Those who change it go on to the organisation's
	// own row, so this comes before that row is locked.
	Lock func(ctx context.Context, tx pgx.Tx, org uuid.UUID) error
	// Erase deletes it, in the transaction that erases the organisation.
	Erase func(ctx context.Context, tx pgx.Tx, org uuid.UUID) error
}

// holdings are complete once the program is initialised.
var holdings []Holding

// Hold adds a holding. Call it while the program is initialised.
func Hold(h Holding) { holdings = append(holdings, h) }

// archived is a type of row in an export, from a table of schema orgs. Its query answers one column: the
// row's JSON as text.
type archived struct{ kind, table, sql string }

// archivedTypes are what this service keeps for an organisation, $1, in the order in which they can
// be read back. Hashes of tokens and secret values stay behind.
var archivedTypes = []archived{
	{"organisation", "orgs", `select row_to_json(t)::text from orgs.orgs t where id = $1`},
	{"team", "teams", rows("teams", "id")},
	{"membership", "memberships", rows("memberships", "user_id")},
	{"team_membership", "team_memberships", rows("team_memberships", "team_id, user_id")},
	{"invitation", "invitations", `select (to_jsonb(t) - 'token_hash')::text from orgs.invitations t where org_id = $1 order by id`},
	{"project", "projects", rows("projects", "id")},
	{"doc", "docs", rows("docs", "id")},
	{"patient_record", "patient_records", rows("patient_records", "id")},
}

const archivedSettings = `
select (to_jsonb(t) || case when key = any($2) then '{"value": null}'::jsonb else '{}' end)::text
  from orgs.settings t where org_id = $1 order by key`

// taggedColumns are those whose comment says that they are personal.
const taggedColumns = `
select c.relname, array_agg(a.attname::text order by a.attnum)
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where c.relnamespace = 'orgs'::regnamespace and col_description(c.oid, a.attnum) like 'personal:%'
 group by c.relname`

// personalFields are the fields of each type that are about people.
func personalFields(ctx context.Context, tx pgx.Tx) (map[string][]string, error) {
	type tagged struct {
		Table   string
		Columns []string
	}
	rows, err := tx.Query(ctx, taggedColumns)
	if err != nil {
		return nil, err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[tagged])
	if err != nil {
		return nil, err
	}
	fields := map[string][]string{"person": {"email", "username", "name"}}
	for _, t := range archivedTypes {
		for _, x := range tables {
			if x.Table == t.table {
				fields[t.kind] = x.Columns
			}
		}
	}
	return fields, nil
}

func rows(table, order string) string {
	return "select row_to_json(t)::text from orgs." + table + " t where org_id = $1 order by " + order
}

// sections writes everything that the organisation owns.
func (x export) sections(ctx context.Context, tx pgx.Tx, out *archive.Writer, withAudit bool) error {
	for _, t := range archivedTypes {
		if err := out.Rows(ctx, tx, t.kind, t.sql, x.org); err != nil {
			return err
		}
	}
	if err := out.Rows(ctx, tx, "setting", archivedSettings, x.org, secretKeys()); err != nil {
		return err
	}
	if err := x.people(ctx, tx, out); err != nil {
		return err
	}
	if err := identity.ArchiveOrg(ctx, tx, x.org, out); err != nil {
		return err
	}
	if err := audit.ArchiveOrg(ctx, tx, x.org, out, withAudit); err != nil {
		return err
	}
	for _, h := range holdings {
		if err := h.Archive(ctx, tx, x.org, out); err != nil {
			return err
		}
	}
	return nil
}

func secretKeys() []string {
	keys := []string{}
	for _, s := range setting.All() {
		if s.Secret {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// person is what an organisation knows of one of its members.
type person struct {
	ID       uuid.UUID `json:"id"`
	Email    string    `json:"email"`
	Username string    `json:"username"`
	Name     string    `json:"name"`
	Status   string    `json:"status"`
}

// peopleAtOnce is how many profiles are asked for together.
const peopleAtOnce = 500

// people writes who the members are, so that ids in other rows can be read.
func (x export) people(ctx context.Context, tx pgx.Tx, out *archive.Writer) error {
	var after uuid.UUID
	for {
		rows, err := tx.Query(ctx, "select user_id from orgs.memberships where org_id = $1 and user_id > $2 order by user_id limit $3",
			x.org, after, peopleAtOnce)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil || len(ids) == 0 {
			return err
		}
		profiles, err := identity.Profiles(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if p, ok := profiles[id]; ok {
				if err := out.Row("person", person{p.ID, p.Email, p.Username, p.Name, p.Status}); err != nil {
					return err
				}
			}
		}
		after = ids[len(ids)-1]
	}
}
