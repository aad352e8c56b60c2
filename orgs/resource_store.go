package orgs

import (
	"context"
	"errors"
	"fmt"

	"encore.app/audit/event"
	"encore.app/infra/platform/quota"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

var errNoSuchTeam = errors.New("no such team")

const resourceColumns = "r.id, r.org_id, r.team_id, r.owner_id, r.title, r.body, r.sensitivity, r.pii, r.version, r.created_at, r.updated_at, "

// selected are the columns of a resource row, in its order.
func (k kind) selected() string {
	if k.clinical {
		return resourceColumns + "r.patient_ref, r.clinician_id"
	}
	return resourceColumns + "'', null::uuid"
}

func (k kind) selectOne() string {
	return "select " + k.selected() + " from orgs." + k.table + " r where r.org_id = $1 and r.id = $2 and r.deleted_at is null"
}

// selectPage wants the predicate that the policies made; its arguments follow the three of the page.
func (k kind) selectPage(visible string) string {
	return "select " + k.selected() + " from orgs." + k.table + ` r
 where r.org_id = $1 and r.id > $2 and r.deleted_at is null and (` + visible + `)
 order by r.id limit $3`
}

func (k kind) insertOne() string {
	names, values := "", ""
	if k.clinical {
		names, values = ", patient_ref, clinician_id", ", $9, $10"
	}
	return "insert into orgs." + k.table + " as r (org_id, id, team_id, owner_id, title, body, sensitivity, pii" + names +
		") values ($1, $2, $3, $4, $5, $6, $7, $8" + values + ") returning " + k.selected()
}

func (k kind) updateOne() string {
	sets := ""
	if k.clinical {
		sets = ", patient_ref = $9, clinician_id = $10"
	}
	return "update orgs." + k.table + ` r
   set team_id = $4, title = $5, body = $6, sensitivity = $7, pii = $8, version = r.version + 1, updated_at = now()` + sets + `
 where r.org_id = $1 and r.id = $2 and r.version = $3 and r.deleted_at is null
returning ` + k.selected()
}

func (k kind) deleteOne() string {
	return "update orgs." + k.table + ` r set deleted_at = now(), version = r.version + 1, updated_at = now()
 where r.org_id = $1 and r.id = $2 and r.version = $3 and r.deleted_at is null
returning ` + k.selected()
}

// own are the arguments of the columns that only this kind has.
func (k kind) own(r resource) []any {
	if k.clinical {
		return []any{r.PatientRef, r.ClinicianID}
	}
	return nil
}

// createResource adds a resource together with its audit event.
func (s store) createResource(ctx context.Context, k kind, r resource, e event.Event) (resource, error) {
	args := append([]any{r.OrgID, r.ID, r.TeamID, r.OwnerID, r.Title, r.Body, r.Sensitivity, r.PII}, k.own(r)...)
	admit := func(tx pgx.Tx) error {
		return quota.Admit(ctx, tx, r.OrgID, quota.Resources, func() (n int64, err error) {
			return n, tx.QueryRow(ctx, countResources, r.OrgID).Scan(&n)
		})
	}
	return s.writeResource(ctx, k, statement{scope: tenantdb.Org(r.OrgID), event: e, admit: admit, sql: k.insertOne(), args: args})
}

// updateResource writes r over the version that it carries; errStale if that is no longer current.
func (s store) updateResource(ctx context.Context, k kind, r resource, e event.Event) (resource, error) {
	args := append([]any{r.OrgID, r.ID, r.Version, r.TeamID, r.Title, r.Body, r.Sensitivity, r.PII}, k.own(r)...)
	return s.writeResource(ctx, k, statement{scope: tenantdb.Org(r.OrgID), event: e, sql: k.updateOne(), args: args})
}

// deleteResource hides the version of r that it carries; errStale if that is no longer current.
func (s store) deleteResource(ctx context.Context, k kind, r resource, e event.Event) error {
	args := []any{r.OrgID, r.ID, r.Version}
	_, err := s.writeResource(ctx, k, statement{scope: tenantdb.Org(r.OrgID), event: e, sql: k.deleteOne(), args: args})
	return err
}

func (s store) writeResource(ctx context.Context, k kind, c statement) (resource, error) {
	r, err := write[resource](ctx, s, c)
	switch {
	case tenantdb.Violates(err, k.table+"_org_id_team_id_fkey"):
		return resource{}, errNoSuchTeam
	case err != nil:
		return resource{}, fmt.Errorf("orgs: write %s: %w", k.noun, err)
	}
	return r, nil
}

func (s store) resource(ctx context.Context, k kind, org, id uuid.UUID) (resource, bool, error) {
	r, err := tenantdb.Row(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[resource], k.selectOne(), org, id)
	return found(r, err, "read "+k.noun)
}

// resources is a page of an organisation's resources of one kind by id, as far as visible lets them
// be seen.
func (s store) resources(ctx context.Context, k kind, org, after uuid.UUID, limit int, visible string, args []any) ([]resource, error) {
	items, err := tenantdb.Rows(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[resource],
		k.selectPage(visible), append([]any{org, after, limit}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("orgs: list %ss: %w", k.noun, err)
	}
	return items, nil
}
