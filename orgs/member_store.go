package orgs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"encore.app/audit/event"
	"encore.app/authz/principal"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

var (
	errLastOwner = errors.New("the last owner")
	errSeatLimit = errors.New("no seat left")
)

const (
	teamsOfMember = `
coalesce((select jsonb_agg(jsonb_build_object('id', t.team_id, 'roles', t.team_roles) order by t.team_id)
            from orgs.team_memberships t
           where t.org_id = m.org_id and t.user_id = m.user_id), '[]')`
	memberColumns = "m.user_id, m.org_roles, m.version, m.created_at, m.erased_at is not null, " + teamsOfMember
	selectMember  = "select " + memberColumns + " from orgs.memberships m where m.org_id = $1 and m.user_id = $2"
	selectMembers = "select " + memberColumns + " from orgs.memberships m where m.org_id = $1 and m.user_id > $2 order by m.user_id limit $3"
	updateRoles   = `
update orgs.memberships m set org_roles = $4, version = m.version + 1
 where m.org_id = $1 and m.user_id = $2 and m.version = $3
returning ` + memberColumns
	deleteMember = "delete from orgs.memberships m where m.org_id = $1 and m.user_id = $2 and m.version = $3"
	selectSeats  = "select o.seats from orgs.orgs o where o.id = $1 for no key update"
	selectRoles  = "select m.org_roles from orgs.memberships m where m.org_id = $1 and m.user_id = $2"
	// Whoever was erased owns nothing and sits nowhere.
	countOwners  = "select count(*) from orgs.memberships m where m.org_id = $1 and m.user_id <> $2 and m.erased_at is null and 'owner' = any(m.org_roles)"
	countMembers = "select count(*) from orgs.memberships m where m.org_id = $1 and m.user_id <> $2 and m.erased_at is null"
)

func (s store) member(ctx context.Context, org, user uuid.UUID) (member, bool, error) {
	m, err := tenantdb.Row(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[member], selectMember, org, user)
	return found(m, err, "read member")
}

func (s store) members(ctx context.Context, org, after uuid.UUID, limit int) ([]member, error) {
	items, err := tenantdb.Rows(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[member], selectMembers, org, after, limit)
	if err != nil {
		return nil, fmt.Errorf("orgs: list members: %w", err)
	}
	return items, nil
}

// holding runs fn while nobody else can change who belongs to the organisation and as what: its row is
// locked, so that the last owner and the last seat are counted by one at a time. The lock lets rows be
// added that refer to the organisation.
func (s store) holding(ctx context.Context, org uuid.UUID, fn func(tx pgx.Tx, seats *int) error) error {
	return s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
		var seats *int
		if err := tx.QueryRow(ctx, selectSeats, org).Scan(&seats); err != nil {
			return err
		}
		acts, err := stillActs(ctx, tx, org)
		if err != nil {
			return err
		}
		if err := fn(tx, seats); err != nil { // what fn refuses is the better answer
			return err
		}
		if !acts {
			return errStale
		}
		return nil
	})
}

// stillActs says that the caller's roles are those that the decision was made about: of two who take
// each other's roles away at once, one comes too late.
func stillActs(ctx context.Context, tx pgx.Tx, org uuid.UUID) (bool, error) {
	p := principal.FromContext(ctx)
	if p == nil || p.Tenant == nil || p.ActorType() != principal.ActorUser {
		return true, nil
	}
	var roles []string
	err := tx.QueryRow(ctx, selectRoles, org, p.Caller.UserID).Scan(&roles)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return slices.Equal(roles, p.Tenant.OrgRoles), err
}

// changeRoles gives a member other roles. errStale if m is no longer what it says, errLastOwner if
// nobody would own the organisation.
func (s store) changeRoles(ctx context.Context, org uuid.UUID, m member, roles []string, e event.Event) (member, error) {
	err := s.holding(ctx, org, func(tx pgx.Tx, _ *int) error {
		rows, err := tx.Query(ctx, updateRoles, org, m.UserID, m.Version, roles)
		if err != nil {
			return err
		}
		before := m
		m, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[member])
		if errors.Is(err, pgx.ErrNoRows) {
			return errStale
		}
		if err != nil {
			return err
		}
		if !slices.Contains(roles, roleOwner) {
			if err := anotherOwner(ctx, tx, org, before); err != nil {
				return err
			}
		}
		return record(ctx, tx, e, m.UserID)
	})
	if err != nil {
		return member{}, fmt.Errorf("orgs: change roles: %w", err)
	}
	return m, nil
}

// removeMember ends a membership, in teams too. Its errors are those of changeRoles.
func (s store) removeMember(ctx context.Context, org uuid.UUID, m member, e event.Event) error {
	err := s.holding(ctx, org, func(tx pgx.Tx, _ *int) error {
		tag, err := tx.Exec(ctx, deleteMember, org, m.UserID, m.Version)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errStale
		}
		if err := anotherOwner(ctx, tx, org, m); err != nil {
			return err
		}
		return record(ctx, tx, e, m.UserID)
	})
	if err != nil {
		return fmt.Errorf("orgs: remove member: %w", err)
	}
	return nil
}

// anotherOwner is errLastOwner if m is an owner and there is no other. Whoever was erased is none.
func anotherOwner(ctx context.Context, tx pgx.Tx, org uuid.UUID, m member) error {
	if m.Erased || !slices.Contains(m.OrgRoles, roleOwner) {
		return nil
	}
	var others int
	if err := tx.QueryRow(ctx, countOwners, org, m.UserID).Scan(&others); err != nil {
		return err
	}
	if others == 0 {
		return errLastOwner
	}
	return nil
}

// freeSeat is errSeatLimit if there is no seat for user beside everybody else's.
func freeSeat(ctx context.Context, tx pgx.Tx, org, user uuid.UUID, seats *int) error {
	if seats == nil {
		return nil
	}
	var taken int
	if err := tx.QueryRow(ctx, countMembers, org, user).Scan(&taken); err != nil {
		return err
	}
	if taken >= *seats {
		return errSeatLimit
	}
	return nil
}
