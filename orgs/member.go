package orgs

import (
	"context"
	"slices"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.dev/types/uuid"
)

const roleOwner = "owner"

// The roles that there are, in an organisation and in a team.
var (
	orgRoles  = []string{roleOwner, "admin", "billing", "auditor", "member", "guest"}
	teamRoles = []string{"lead", "member"}
)

// checkRoles wants at least one of the allowed roles, and none twice.
func checkRoles(c *fault.Checks, field string, roles, allowed []string) {
	if len(roles) == 0 {
		c.Add(field, "must name at least one role")
		return
	}
	for i, role := range roles {
		c.OneOf(field, role, allowed...)
		if slices.Contains(roles[:i], role) {
			c.Add(field, "names %s twice", role)
		}
	}
}

// member is a row of orgs.memberships with what is in orgs.team_memberships for it.
type member struct {
	UserID    uuid.UUID
	OrgRoles  []string
	Version   int64
	CreatedAt time.Time
	Erased    bool // nobody stands behind it any more
	Teams     []teamMembership
}

// attributes is the membership as policies see it when it has, or gets, further roles.
func (m member) attributes(org uuid.UUID, further ...string) authz.Resource {
	r := membershipIn(org)
	r.ID, r.OwnerID = m.UserID.String(), m.UserID.String()
	r.Extra = conferring(slices.Concat(m.OrgRoles, further))
	return r
}

// membershipIn is any membership of an organisation.
func membershipIn(org uuid.UUID) authz.Resource {
	return authz.Resource{Kind: "membership", OrgID: org.String(), Extra: conferring(nil)}
}

// conferring is the attribute of what gives somebody roles, in the form that the policy engine takes.
func conferring(roles []string) map[string]any {
	list := []any{}
	for _, role := range roles {
		if !slices.Contains(list, any(role)) {
			list = append(list, role)
		}
	}
	return map[string]any{"org_roles": list}
}

func (m member) event(ctx context.Context, org uuid.UUID, action string, d authz.Decision, changes map[string]any) (event.Event, error) {
	return event.New(ctx, org, action, event.Resource{Kind: "membership", ID: m.UserID.String()}, event.Succeeded, d).With(changes)
}

func teamMemberships(rows []teamMembership) []TeamMembership {
	out := make([]TeamMembership, len(rows))
	for i, t := range rows {
		out[i] = TeamMembership{TeamID: t.ID, TeamRoles: t.Roles}
	}
	return out
}
