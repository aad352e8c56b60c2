package orgs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/authz/filter"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// project is a row of orgs.projects.
type project struct {
	ID          uuid.UUID
	OrgID       uuid.UUID
	TeamID      *uuid.UUID
	OwnerID     uuid.UUID
	Title       string
	Body        string
	Sensitivity string
	PII         bool
	Version     int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

const projectColumns = "id, org_id, team_id, owner_id, title, body, sensitivity, pii, version, created_at, updated_at"

// projectFilter says where the policies' attributes of a project are found.
var projectFilter = map[string]filter.Column{
	filter.ResourceID: {SQL: "projects.id", Type: filter.UUID},
	"org_id":          {SQL: "projects.org_id", Type: filter.UUID},
	"team_id":         {SQL: "projects.team_id", Type: filter.UUID, Null: filter.NullIsZero},
	"owner_id":        {SQL: "projects.owner_id", Type: filter.UUID},
	"sensitivity":     {SQL: "projects.sensitivity", Type: filter.Text},
	"pii":             {SQL: "projects.pii", Type: filter.Bool},
}

// resource is the project as policies see it.
func (p project) resource() authz.Resource {
	r := authz.Resource{
		Kind:        "project",
		ID:          p.ID.String(),
		OrgID:       p.OrgID.String(),
		OwnerID:     p.OwnerID.String(),
		Sensitivity: p.Sensitivity,
		PII:         p.PII,
	}
	if p.TeamID != nil {
		r.TeamID = p.TeamID.String()
	}
	return r
}

var errNoSuchTeam = errors.New("no such team")

// createProject adds a project together with its audit event.
func (s store) createProject(ctx context.Context, p project, e event.Event) (project, error) {
	err := s.db.Tx(ctx, tenantdb.Org(p.OrgID), func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
insert into orgs.projects (id, org_id, team_id, owner_id, title, body, sensitivity, pii)
values ($1, $2, $3, $4, $5, $6, $7, $8) returning `+projectColumns,
			p.ID, p.OrgID, p.TeamID, p.OwnerID, p.Title, p.Body, p.Sensitivity, p.PII)
		if err != nil {
			return err
		}
		if p, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[project]); err != nil {
			return err
		}
		return e.Record(ctx, tx)
	})
	if tenantdb.Violates(err, "projects_org_id_team_id_fkey") {
		return project{}, errNoSuchTeam
	}
	if err != nil {
		return project{}, fmt.Errorf("orgs: create project: %w", err)
	}
	return p, nil
}

func (s store) project(ctx context.Context, orgID, id uuid.UUID) (project, bool, error) {
	p, err := tenantdb.Row(ctx, s.db, tenantdb.Org(orgID), pgx.RowToStructByPos[project],
		"select "+projectColumns+" from orgs.projects where org_id = $1 and id = $2 and deleted_at is null", orgID, id)
	return found(p, err, "read project")
}

// projects is a page of an organisation's projects by id. visible is the predicate that the
// policies made for this caller; its arguments follow the three of the page.
func (s store) projects(ctx context.Context, orgID, after uuid.UUID, limit int, visible string, args []any) ([]project, error) {
	items, err := tenantdb.Rows(ctx, s.db, tenantdb.Org(orgID), pgx.RowToStructByPos[project],
		"select "+projectColumns+` from orgs.projects
 where org_id = $1 and id > $2 and deleted_at is null and (`+visible+`)
 order by id limit $3`, append([]any{orgID, after, limit}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("orgs: list projects: %w", err)
	}
	return items, nil
}
