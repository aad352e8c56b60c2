package orgs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"encore.app/audit/event"
	"encore.app/authz/principal"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

type store struct{ db *tenantdb.DB }

// platform is the scope of platform staff, after a decision.
var platform = tenantdb.Platform()

// org is a row of orgs.orgs.
type org struct {
	ID        uuid.UUID
	Slug      string
	Name      string
	Status    string
	Tier      string
	Flags     map[string]bool
	Version   int64
	CreatedAt time.Time
}

func (o org) enabledFlags() []string {
	on := []string{}
	for flag, enabled := range o.Flags {
		if enabled {
			on = append(on, flag)
		}
	}
	slices.Sort(on)
	return on
}

const selectOrg = "select id, slug, name, status, license_tier, feature_flags, version, created_at from orgs.orgs"

// org reads one organisation under scope.
func (s store) org(ctx context.Context, scope tenantdb.Scope, id uuid.UUID) (o org, ok bool, err error) {
	o, err = tenantdb.Row(ctx, s.db, scope, pgx.RowToStructByPos[org], selectOrg+" where id = $1", id)
	return found(o, err, "read organisation")
}

// orgs is a page of all organisations by id, which sorts them by age.
func (s store) orgs(ctx context.Context, after uuid.UUID, limit int) ([]org, error) {
	items, err := tenantdb.Rows(ctx, s.db, platform, pgx.RowToStructByPos[org],
		selectOrg+" where id > $1 order by id limit $2", after, limit)
	if err != nil {
		return nil, fmt.Errorf("orgs: list: %w", err)
	}
	return items, nil
}

var errSlugTaken = errors.New("slug is taken")

// create adds an organisation together with its audit event.
func (s store) create(ctx context.Context, o org, e event.Event) (org, error) {
	err := s.db.Tx(ctx, platform, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `insert into orgs.orgs (id, slug, name) values ($1, $2, $3)
			returning id, slug, name, status, license_tier, feature_flags, version, created_at`, o.ID, o.Slug, o.Name)
		if err != nil {
			return err
		}
		if o, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[org]); err != nil {
			return err
		}
		return e.Record(ctx, tx)
	})
	if tenantdb.Violates(err, "orgs_slug") {
		return org{}, errSlugTaken
	}
	if err != nil {
		return org{}, fmt.Errorf("orgs: create: %w", err)
	}
	return o, nil
}

// membership is what a user is in one organisation.
type membership struct {
	OrgID    uuid.UUID
	Slug     string
	Status   string
	Tier     string
	Flags    map[string]bool
	OrgRoles []string
	Teams    []team
}

type team struct {
	ID    uuid.UUID `json:"id"`
	Roles []string  `json:"roles"`
}

const selectMembership = `
select o.id, o.slug, o.status, o.license_tier, o.feature_flags, m.org_roles,
       coalesce((select jsonb_agg(jsonb_build_object('id', t.team_id, 'roles', t.team_roles) order by t.team_id)
                   from orgs.team_memberships t
                  where t.org_id = m.org_id and t.user_id = m.user_id), '[]')
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
	}
	for _, team := range m.Teams {
		t.Teams = append(t.Teams, principal.Team{ID: team.ID.String(), Roles: team.Roles})
	}
	return t
}

// found tells "no such row" from a failure.
func found[T any](v T, err error, what string) (T, bool, error) {
	switch {
	case err == nil:
		return v, true, nil
	case errors.Is(err, pgx.ErrNoRows):
		return v, false, nil
	}
	return v, false, fmt.Errorf("orgs: %s: %w", what, err)
}
