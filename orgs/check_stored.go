package orgs

import (
	"context"
	"fmt"
	"slices"

	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// subject is what one check is about, and as whom the caller is asked about it.
type subject struct {
	as       *principal.Principal
	resource authz.Resource
	absent   bool // its id names nothing that the organisation has
}

// subjects takes what is stored of a resource that is there in place of what the asker says of it, so
// that no answer about it is wider than its endpoints' would be. What has no id yet, or one that is no
// UUID, is a draft and is taken as it is told. Each organisation is asked once for all that it may have.
func (s *Service) subjects(ctx context.Context, c *principal.Caller, checks []CheckItem) ([]subject, error) {
	a, err := s.actingIn(ctx, c)
	if err != nil {
		return nil, err
	}
	out := make([]subject, len(checks))
	queries := map[tenantdb.Scope]*pgx.Batch{}
	in := func(scope tenantdb.Scope) *pgx.Batch {
		if queries[scope] == nil {
			queries[scope] = new(pgx.Batch)
		}
		return queries[scope]
	}
	for i := range checks {
		x := &out[i]
		if x.resource, err = checks[i].Resource.describe(); err != nil {
			return nil, err
		}
		x.as = a.in(x.resource.OrgID)
		id, isID := uuid.FromString(x.resource.ID)
		look := lookups[x.resource.Kind]
		switch {
		case x.as.Tenant != nil:
			x.resource.OrgStatus, x.resource.LicenseTier = "", "" // the membership says
			if look != nil && isID == nil {
				x.absent = true
				look(in(scopeOf(x.as)), idOf(x.as), id, x)
			}
		case x.resource.OrgID != "" && platformStaff(x.as):
			x.resource.OrgStatus, x.resource.LicenseTier = "", ""
			x.absent = x.resource.Kind == "org"
			lookUpOrg(in(platform), x)
		// A member's id is theirs in every organisation: without one it names no row.
		case x.resource.OrgID == "" && look != nil && isID == nil && x.resource.Kind != "membership":
			for _, member := range a.member {
				look(in(scopeOf(member)), idOf(member), id, x)
			}
		}
	}
	for scope, batch := range queries {
		if err := s.store.db.Send(ctx, scope, batch); err != nil {
			return nil, fmt.Errorf("orgs: look up what is asked about: %w", err)
		}
	}
	for i := range out { // what was found says whose it is
		if x := &out[i]; x.as.Tenant == nil && x.resource.OrgID != "" {
			x.as = a.in(x.resource.OrgID)
		}
	}
	return out, nil
}

// acting is a caller as a principal of each organisation that they belong to. In any other they are
// nobody, exactly as in one that does not exist.
type acting struct {
	member map[string]*principal.Principal
	nobody *principal.Principal
}

func (a acting) in(org string) *principal.Principal {
	if p, ok := a.member[org]; ok {
		return p
	}
	return a.nobody
}

func (s *Service) actingIn(ctx context.Context, c *principal.Caller) (acting, error) {
	a := acting{member: map[string]*principal.Principal{}, nobody: principal.New(c, nil)}
	if c.Audience == principal.AudienceAdmin { // the platform's console knows no memberships
		return a, nil
	}
	user, err := uuid.FromString(c.UserID)
	if err != nil {
		return a, fault.Internal(err)
	}
	memberships, err := s.store.memberships(ctx, user)
	if err != nil {
		return a, err
	}
	for _, m := range memberships {
		if tenant := m.tenant(); !c.Narrowed(tenant.OrgID, tenant.Slug) {
			a.member[tenant.OrgID] = principal.New(c, tenant)
		}
	}
	return a, nil
}

func platformStaff(p *principal.Principal) bool {
	return p.Caller.Audience == principal.AudienceAdmin &&
		slices.ContainsFunc(p.Roles(), func(role string) bool { return slices.Contains(staffRoles, role) })
}

var staffRoles = []string{"platform_admin", "platform_support", "platform_auditor"}

func idOf(p *principal.Principal) uuid.UUID {
	id, err := uuid.FromString(p.OrgID())
	if err != nil {
		panic(err) // it was written from one
	}
	return id
}

func scopeOf(p *principal.Principal) tenantdb.Scope { return tenantdb.Org(idOf(p)) }

// lookups are the kinds whose rows policies look into, by how one is looked up.
var lookups = map[string]func(b *pgx.Batch, org, id uuid.UUID, x *subject){
	"team": func(b *pgx.Batch, org, id uuid.UUID, x *subject) {
		queue(b, selectTeam, org, id, func(t team) { x.is(t.attributes()) })
	},
	// Roles and team are those of the change as well, which the asker knows: they only narrow.
	"membership": func(b *pgx.Batch, org, id uuid.UUID, x *subject) {
		told, team := rolesTold(x.resource), x.resource.TeamID
		queue(b, selectMember, org, id, func(m member) {
			x.is(m.attributes(org, told...))
			x.resource.TeamID = team
		})
	},
	"invitation": func(b *pgx.Batch, org, id uuid.UUID, x *subject) {
		queue(b, selectInvitation, org, id, func(i invitation) { x.is(i.attributes()) })
	},
}

func init() {
	for _, k := range kinds {
		lookups[k.name] = func(b *pgx.Batch, org, id uuid.UUID, x *subject) {
			queue(b, k.selectOne(), org, id, func(r resource) { x.is(r.attributes(k)) })
		}
	}
}

func (x *subject) is(r authz.Resource) { x.resource, x.absent = r, false }

func rolesTold(r authz.Resource) []string {
	told, _ := r.Extra["org_roles"].([]any)
	out := make([]string, len(told))
	for i, role := range told {
		out[i], _ = role.(string) // checked when it was described
	}
	return out
}

// queue reads one row, if it is there.
func queue[T any](b *pgx.Batch, sql string, org, id uuid.UUID, found func(T)) {
	tenantdb.QueueRow(b, pgx.RowToStructByPos[T], found, sql, org, id)
}

func lookUpOrg(b *pgx.Batch, x *subject) {
	tenantdb.QueueRow(b, pgx.RowToStructByPos[org], func(o org) {
		x.resource.OrgStatus, x.resource.LicenseTier, x.absent = o.Status, o.Tier, false
	}, selectOrg, x.resource.OrgID)
}
