package orgs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"encore.app/audit/event"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

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

const (
	orgColumns  = "o.id, o.slug, o.name, o.status, o.license_tier, o.feature_flags, o.version, o.created_at"
	selectOrg   = "select " + orgColumns + " from orgs.orgs o where o.id = $1"
	selectOrgs  = "select " + orgColumns + " from orgs.orgs o where o.id > $1 order by o.id limit $2"
	selectOwn   = "select " + orgColumns + " from orgs.orgs o join orgs.memberships m on m.org_id = o.id where m.user_id = $1 and o.id > $2 order by o.id limit $3"
	insertOrg   = "insert into orgs.orgs as o (id, slug, name) values ($1, $2, $3) returning " + orgColumns
	updateOrg   = "update orgs.orgs o set slug = $3, name = $4, version = o.version + 1, updated_at = now() where o.id = $1 and o.version = $2 returning " + orgColumns
	updateState = "update orgs.orgs o set status = $3, version = o.version + 1, updated_at = now() where o.id = $1 and o.status = $2 returning " + orgColumns
)

// org reads one organisation under scope.
func (s store) org(ctx context.Context, scope tenantdb.Scope, id uuid.UUID) (o org, ok bool, err error) {
	o, err = tenantdb.Row(ctx, s.db, scope, pgx.RowToStructByPos[org], selectOrg, id)
	return found(o, err, "read organisation")
}

// orgs is a page of all organisations by id, which sorts them by age.
func (s store) orgs(ctx context.Context, after uuid.UUID, limit int) ([]org, error) {
	items, err := tenantdb.Rows(ctx, s.db, platform, pgx.RowToStructByPos[org], selectOrgs, after, limit)
	if err != nil {
		return nil, fmt.Errorf("orgs: list: %w", err)
	}
	return items, nil
}

var errSlugTaken = errors.New("slug is taken")

// ownOrgs is a page of the organisations that a user belongs to.
func (s store) ownOrgs(ctx context.Context, user, after uuid.UUID, limit int) ([]org, error) {
	items, err := tenantdb.Rows(ctx, s.db, tenantdb.User(user), pgx.RowToStructByPos[org], selectOwn, user, after, limit)
	if err != nil {
		return nil, fmt.Errorf("orgs: list a user's: %w", err)
	}
	return items, nil
}

// create adds an organisation together with its audit event.
func (s store) create(ctx context.Context, o org, e event.Event) (org, error) {
	return s.writeOrg(ctx, statement{scope: platform, event: e, sql: insertOrg, args: []any{o.ID, o.Slug, o.Name}})
}

// update renames the version of o that it carries; errStale if that is no longer current.
func (s store) update(ctx context.Context, scope tenantdb.Scope, o org, e event.Event) (org, error) {
	return s.writeOrg(ctx, statement{scope: scope, event: e, sql: updateOrg, args: []any{o.ID, o.Version, o.Slug, o.Name}})
}

// setStatus takes an organisation from one status to another; errStale if it is not in the first.
func (s store) setStatus(ctx context.Context, id uuid.UUID, from, to string, e event.Event) (org, error) {
	return s.writeOrg(ctx, statement{
		scope: platform, event: e, bump: []uuid.UUID{id}, sql: updateState, args: []any{id, from, to},
	})
}

func (s store) writeOrg(ctx context.Context, c statement) (org, error) {
	o, err := write[org](ctx, s, c)
	switch {
	case tenantdb.Violates(err, "orgs_slug"):
		return org{}, errSlugTaken
	case tenantdb.Violates(err, "orgs_erased_for_good"):
		return org{}, errErased
	case err != nil:
		return org{}, fmt.Errorf("orgs: write organisation: %w", err)
	}
	return o, nil
}
