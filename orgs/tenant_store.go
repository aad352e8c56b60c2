package orgs

import (
	"context"
	"fmt"

	"encore.app/authz/principal"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// membership is what a user is in one organisation.
type membership struct {
	OrgID    uuid.UUID
	Slug     string
	Status   string
	Tier     string
	Flags    map[string]bool
	OrgRoles []string
	Teams    []teamMembership
	// OrgEpoch and UserEpoch are read in the same statement: a decision on this membership is never
	// found under the counters of another.
	OrgEpoch, UserEpoch int64
}

type teamMembership struct {
	ID    uuid.UUID `json:"id"`
	Roles []string  `json:"roles"`
}

const selectMembership = `
select o.id, o.slug, o.status, o.license_tier, o.feature_flags, m.org_roles,
       coalesce((select jsonb_agg(jsonb_build_object('id', t.team_id, 'roles', t.team_roles) order by t.team_id)
                   from orgs.team_memberships t
                  where t.org_id = m.org_id and t.user_id = m.user_id), '[]'),
       authz.epoch_of(o.id), authz.epoch_of(m.user_id)
  from orgs.memberships m
  join orgs.orgs o on o.id = m.org_id`

// memberships are all of a user's, oldest organisation first.
func (s store) memberships(ctx context.Context, user uuid.UUID) ([]membership, error) {
	items, err := tenantdb.Rows(ctx, s.db, tenantdb.User(user), pgx.RowToStructByPos[membership],
		selectMembership+" where m.user_id = $1 order by o.id", user)
	if err != nil {
		return nil, fmt.Errorf("orgs: memberships: %w", err)
	}
	return items, nil
}

// tenant is one membership as policies see it; nil if there is none.
func (s store) tenant(ctx context.Context, user, org uuid.UUID) (*principal.Tenant, error) {
	m, err := tenantdb.Row(ctx, s.db, tenantdb.User(user), pgx.RowToStructByPos[membership],
		selectMembership+" where m.user_id = $1 and m.org_id = $2", user, org)
	m, ok, err := found(m, err, "membership")
	if err != nil || !ok {
		return nil, err
	}
	return m.tenant(), nil
}

func (m membership) tenant() *principal.Tenant {
	t := &principal.Tenant{
		OrgID:    m.OrgID.String(),
		Slug:     m.Slug,
		Status:   m.Status,
		Tier:     m.Tier,
		Flags:    org{Flags: m.Flags}.enabledFlags(),
		OrgRoles: m.OrgRoles,
		OrgEpoch: uint64(m.OrgEpoch), UserEpoch: uint64(m.UserEpoch),
	}
	for _, team := range m.Teams {
		t.Teams = append(t.Teams, principal.Team{ID: team.ID.String(), Roles: team.Roles})
	}
	return t
}
