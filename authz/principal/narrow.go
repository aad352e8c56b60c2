package principal

import "slices"

// Narrowed reports whether the token confines its caller to other organisations than this one. The
// claims only ever narrow: without them, memberships alone decide.
func (c *Caller) Narrowed(orgID, slug string) bool {
	if c.OrgIDClaim != "" && c.OrgIDClaim != orgID && c.OrgIDClaim != slug {
		return true
	}
	return c.OrganizationsPresent && !slices.Contains(c.Organizations, slug) && !slices.Contains(c.Organizations, orgID)
}

// includes says which organisation roles each one includes, itself left out. It is what the policies
// derive from a role, and a test holds the two together.
var includes = map[string][]string{
	"owner":   {"admin", "billing", "auditor", "member", "guest"},
	"admin":   {"billing", "auditor", "member", "guest"},
	"billing": {"member", "guest"},
	"auditor": {"member", "guest"},
	"member":  {"guest"},
	"guest":   {},
}

// RolesWithin are those of the wanted organisation roles, and of the roles that they include, that
// somebody who has the held ones has as well; the included ones are left out of the answer.
func RolesWithin(held, wanted []string) []string {
	has := closure(held)
	var common []string
	for role := range closure(wanted) {
		if has[role] {
			common = append(common, role)
		}
	}
	included := map[string]bool{}
	for _, role := range common {
		for _, lesser := range includes[role] {
			included[lesser] = true
		}
	}
	return sorted(slices.DeleteFunc(common, func(role string) bool { return included[role] }))
}

func closure(roles []string) map[string]bool {
	all := map[string]bool{}
	for _, role := range roles {
		all[role] = true
		for _, lesser := range includes[role] {
			all[lesser] = true
		}
	}
	return all
}

// bounded is the tenant as an API key sees it: no more than its own roles, and no more than those of
// whoever made it. Teams are people's; a key has none.
func bounded(c *Caller, t *Tenant) *Tenant {
	if c.APIKeyID == "" || t == nil {
		return t
	}
	b := *t
	b.OrgRoles, b.Teams = RolesWithin(t.OrgRoles, c.KeyRoles), nil
	return &b
}
