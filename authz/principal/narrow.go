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
