package orgs

import (
	"context"
	"errors"
	"fmt"

	"encore.app/audit/event"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

var (
	errAlreadyMember = errors.New("a member already")
	errOrgNotActive  = errors.New("organisation is not active")
)

const (
	invitationColumns = `i.id, i.org_id, i.email, i.org_roles, i.team_ids,
       case when i.status = 'pending' and i.expires_at <= now() then 'expired' else i.status end,
       i.invited_by, i.expires_at, i.version, i.created_at,
       (select o.status from orgs.orgs o where o.id = i.org_id)`
	selectInvitation        = "select " + invitationColumns + " from orgs.invitations i where i.org_id = $1 and i.id = $2"
	selectInvitationByToken = "select " + invitationColumns + " from orgs.invitations i where i.org_id = $1 and i.token_hash = $2"
	selectInvitations       = "select " + invitationColumns + " from orgs.invitations i where i.org_id = $1 and i.id > $2 order by i.id limit $3"

	countTeams = "select count(*) from orgs.teams t where t.org_id = $1 and t.id = any($2)"
	// An address has one pending invitation; a new one takes the place of the old.
	supersede = `
update orgs.invitations i
   set status = case when i.expires_at <= now() then 'expired' else 'revoked' end, version = i.version + 1, updated_at = now()
 where i.org_id = $1 and i.email = $2 and i.status = 'pending'`
	insertInvitation = `
insert into orgs.invitations as i (org_id, id, email, org_roles, team_ids, token_hash, invited_by, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8) returning ` + invitationColumns
	renewInvitation = `
update orgs.invitations i set token_hash = $4, expires_at = $5, version = i.version + 1, updated_at = now()
 where i.org_id = $1 and i.id = $2 and i.version = $3 and i.status = 'pending'
returning ` + invitationColumns
	revokeInvitation = `
update orgs.invitations i set status = 'revoked', version = i.version + 1, updated_at = now()
 where i.org_id = $1 and i.id = $2 and i.status = 'pending'
returning ` + invitationColumns

	acceptInvitation = `
update orgs.invitations i set status = 'accepted', accepted_by = $4, version = i.version + 1, updated_at = now()
 where i.org_id = $1 and i.id = $2 and i.version = $3 and i.status = 'pending' and i.expires_at > now()
returning ` + invitationColumns
	insertMember = "insert into orgs.memberships (org_id, user_id, org_roles) values ($1, $2, $3) on conflict do nothing"
	// Teams that are gone by now, or that go as we look, are left out.
	joinTeams = `
insert into orgs.team_memberships (org_id, team_id, user_id, team_roles)
select t.org_id, t.id, $3, '{member}' from orgs.teams t where t.org_id = $1 and t.id = any($2) for key share`
)

func (s store) invitation(ctx context.Context, org, id uuid.UUID) (invitation, bool, error) {
	i, err := tenantdb.Row(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[invitation], selectInvitation, org, id)
	return found(i, err, "read invitation")
}

func (s store) invitationByToken(ctx context.Context, org uuid.UUID, hash []byte) (invitation, bool, error) {
	i, err := tenantdb.Row(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[invitation], selectInvitationByToken, org, hash)
	return found(i, err, "read invitation")
}

func (s store) invitations(ctx context.Context, org, after uuid.UUID, limit int) ([]invitation, error) {
	items, err := tenantdb.Rows(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[invitation], selectInvitations, org, after, limit)
	if err != nil {
		return nil, fmt.Errorf("orgs: list invitations: %w", err)
	}
	return items, nil
}

// createInvitation keeps an invitation under the hash of its token, in place of any other that the
// address still has. errNoSuchTeam if a team is not the organisation's.
func (s store) createInvitation(ctx context.Context, i invitation, hash []byte, e event.Event) (invitation, error) {
	err := s.holding(ctx, i.OrgID, func(tx pgx.Tx, _ *int) error {
		var known int
		if err := tx.QueryRow(ctx, countTeams, i.OrgID, i.TeamIDs).Scan(&known); err != nil {
			return err
		}
		if known != len(i.TeamIDs) {
			return errNoSuchTeam
		}
		if _, err := tx.Exec(ctx, supersede, i.OrgID, i.Email); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, insertInvitation, i.OrgID, i.ID, i.Email, i.OrgRoles, i.TeamIDs, hash, i.InvitedBy, i.ExpiresAt)
		if err != nil {
			return err
		}
		if i, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[invitation]); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	if err != nil {
		return invitation{}, fmt.Errorf("orgs: create invitation: %w", err)
	}
	return i, nil
}

// renew gives a pending invitation another token and another end; the old token is worth nothing.
func (s store) renew(ctx context.Context, i invitation, hash []byte, e event.Event) (invitation, error) {
	return s.writeInvitation(ctx, i.OrgID, e, renewInvitation, i.OrgID, i.ID, i.Version, hash, i.ExpiresAt)
}

// revoke ends a pending invitation; errStale if it is not pending.
func (s store) revoke(ctx context.Context, org, id uuid.UUID, e event.Event) error {
	_, err := s.writeInvitation(ctx, org, e, revokeInvitation, org, id)
	return err
}

func (s store) writeInvitation(ctx context.Context, org uuid.UUID, e event.Event, sql string, args ...any) (invitation, error) {
	i, err := write[invitation](ctx, s, statement{scope: tenantdb.Org(org), event: e, sql: sql, args: args})
	if err != nil {
		return invitation{}, fmt.Errorf("orgs: write invitation: %w", err)
	}
	return i, nil
}

// accept makes user a member by an invitation that was pending when it was read. errStale if it no
// longer is, errSeatLimit if the licence has no seat left, errAlreadyMember if the user is one.
func (s store) accept(ctx context.Context, i invitation, user uuid.UUID, e event.Event) error {
	err := s.holding(ctx, i.OrgID, func(tx pgx.Tx, seats *int) error {
		rows, err := tx.Query(ctx, acceptInvitation, i.OrgID, i.ID, i.Version, user)
		if err != nil {
			return err
		}
		now, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[invitation])
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return errStale
		case err != nil:
			return err
		case now.OrgStatus != statusActive: // suspended after the decision
			return errOrgNotActive
		}
		tag, err := tx.Exec(ctx, insertMember, i.OrgID, user, i.OrgRoles)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errAlreadyMember
		}
		if err := freeSeat(ctx, tx, i.OrgID, user, seats); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, joinTeams, i.OrgID, i.TeamIDs, user); err != nil {
			return err
		}
		return record(ctx, tx, e, user)
	})
	if err != nil {
		return fmt.Errorf("orgs: accept invitation: %w", err)
	}
	return nil
}
