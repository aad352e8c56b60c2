package orgs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

var (
	errTeamNameTaken = errors.New("team name is taken")
	errTeamInUse     = errors.New("team owns resources")
	errNoSuchMember  = errors.New("no such member")
)

// team is a row of orgs.teams.
type team struct {
	ID        uuid.UUID
	OrgID     uuid.UUID
	Name      string
	Version   int64
	CreatedAt time.Time
}

// teamMember is a row of orgs.team_memberships.
type teamMember struct {
	UserID    uuid.UUID
	TeamID    uuid.UUID
	Roles     []string
	CreatedAt time.Time
}

const (
	teamColumns = "t.id, t.org_id, t.name, t.version, t.created_at"
	selectTeam  = "select " + teamColumns + " from orgs.teams t where t.org_id = $1 and t.id = $2"
	selectTeams = "select " + teamColumns + " from orgs.teams t where t.org_id = $1 and t.id > $2 order by t.id limit $3"
	insertTeam  = "insert into orgs.teams as t (org_id, id, name) values ($1, $2, $3) returning " + teamColumns
	updateTeam  = "update orgs.teams t set name = $4, version = t.version + 1 where t.org_id = $1 and t.id = $2 and t.version = $3 returning " + teamColumns
	deleteTeam  = "delete from orgs.teams t where t.org_id = $1 and t.id = $2 and t.version = $3"

	teamMemberColumns = "m.user_id, m.team_id, m.team_roles, m.created_at"
	selectTeamMembers = "select " + teamMemberColumns + ` from orgs.team_memberships m
 where m.org_id = $1 and m.team_id = $2 and m.user_id > $3 order by m.user_id limit $4`
	putTeamMember = `
insert into orgs.team_memberships as m (org_id, team_id, user_id, team_roles) values ($1, $2, $3, $4)
on conflict (org_id, team_id, user_id) do update set team_roles = excluded.team_roles
returning ` + teamMemberColumns
	deleteTeamMember = "delete from orgs.team_memberships m where m.org_id = $1 and m.team_id = $2 and m.user_id = $3 returning " + teamMemberColumns
)

// leaveTeam takes hidden resources out of a team: nobody sees them, so they do not keep it.
func (k kind) leaveTeam() string {
	return "update orgs." + k.table + " r set team_id = null where r.org_id = $1 and r.team_id = $2 and r.deleted_at is not null"
}

func (s store) team(ctx context.Context, org, id uuid.UUID) (team, bool, error) {
	t, err := tenantdb.Row(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[team], selectTeam, org, id)
	return found(t, err, "read team")
}

func (s store) teams(ctx context.Context, org, after uuid.UUID, limit int) ([]team, error) {
	items, err := tenantdb.Rows(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[team], selectTeams, org, after, limit)
	if err != nil {
		return nil, fmt.Errorf("orgs: list teams: %w", err)
	}
	return items, nil
}

func (s store) createTeam(ctx context.Context, t team, e event.Event) (team, error) {
	return s.writeTeam(ctx, t.OrgID, e, insertTeam, t.OrgID, t.ID, t.Name)
}

// updateTeam renames the version of t that it carries; errStale if that is no longer current.
func (s store) updateTeam(ctx context.Context, t team, e event.Event) (team, error) {
	return s.writeTeam(ctx, t.OrgID, e, updateTeam, t.OrgID, t.ID, t.Version, t.Name)
}

func (s store) writeTeam(ctx context.Context, org uuid.UUID, e event.Event, sql string, args ...any) (team, error) {
	t, err := write[team](ctx, s, statement{scope: tenantdb.Org(org), event: e, sql: sql, args: args})
	switch {
	case tenantdb.Violates(err, "teams_name"):
		return team{}, errTeamNameTaken
	case err != nil:
		return team{}, fmt.Errorf("orgs: write team: %w", err)
	}
	return t, nil
}

// deleteTeam removes the version of t that it carries, and its memberships. errTeamInUse if a
// resource belongs to it.
func (s store) deleteTeam(ctx context.Context, t team, e event.Event) error {
	err := s.db.Tx(ctx, tenantdb.Org(t.OrgID), func(tx pgx.Tx) error {
		for _, k := range kinds {
			if _, err := tx.Exec(ctx, k.leaveTeam(), t.OrgID, t.ID); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, deleteTeam, t.OrgID, t.ID, t.Version)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errStale
		}
		return record(ctx, tx, e, t.OrgID)
	})
	for _, k := range kinds {
		if tenantdb.Violates(err, k.table+"_org_id_team_id_fkey") {
			return errTeamInUse
		}
	}
	if err != nil {
		return fmt.Errorf("orgs: delete team: %w", err)
	}
	return nil
}

func (s store) teamMembers(ctx context.Context, org, team, after uuid.UUID, limit int) ([]teamMember, error) {
	items, err := tenantdb.Rows(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[teamMember], selectTeamMembers, org, team, after, limit)
	if err != nil {
		return nil, fmt.Errorf("orgs: list team members: %w", err)
	}
	return items, nil
}

// putTeamMember makes a member one of the team, in these roles and no others.
func (s store) putTeamMember(ctx context.Context, org uuid.UUID, m teamMember, e event.Event) (teamMember, error) {
	return s.writeTeamMember(ctx, org, m.UserID, e, putTeamMember, org, m.TeamID, m.UserID, m.Roles)
}

// removeTeamMember is errStale if the user is not in the team.
func (s store) removeTeamMember(ctx context.Context, org, team, user uuid.UUID, e event.Event) error {
	_, err := s.writeTeamMember(ctx, org, user, e, deleteTeamMember, org, team, user)
	return err
}

func (s store) writeTeamMember(ctx context.Context, org, user uuid.UUID, e event.Event, sql string, args ...any) (teamMember, error) {
	m, err := write[teamMember](ctx, s, statement{
		scope: tenantdb.Org(org), event: e, bump: []uuid.UUID{user}, sql: sql, args: args,
	})
	switch {
	case tenantdb.Violates(err, "team_memberships_org_id_team_id_fkey"):
		return teamMember{}, errNoSuchTeam
	case tenantdb.Violates(err, "team_memberships_org_id_user_id_fkey"):
		return teamMember{}, errNoSuchMember
	case err != nil:
		return teamMember{}, fmt.Errorf("orgs: write team member: %w", err)
	}
	return m, nil
}
