package issuer

import (
	"slices"
	"strings"

	"encore.app/infra/keycloak/realm"
)

// scope is what a token may tell.
type scope struct {
	names []string // granted scopes, default ones included
	shown string   // as the scope claim says it
}

func (s scope) has(name string) bool { return slices.Contains(s.names, name) }

// shownScopes are the built-in scopes that Keycloak includes in the scope claim.
var shownScopes = []string{"email", "profile"}

// grantScope adds the scopes that a client may ask for to those that it always has.
func grantScope(c *realm.Client, asked string) (scope, *oauthError) {
	var s scope
	var shown []string
	s.names = append(s.names, c.DefaultScopes...)
	for _, name := range shownScopes {
		if s.has(name) {
			shown = append(shown, name)
		}
	}
	for _, name := range strings.Fields(asked) {
		base, _, _ := strings.Cut(name, ":")
		switch {
		case s.has(name):
		case name == "openid":
			s.names = append(s.names, name)
			shown = append([]string{name}, shown...)
		case slices.Contains(c.OptionalScopes, name), base == "organization" && slices.Contains(c.OptionalScopes, base):
			s.names = append(s.names, name)
			shown = append(shown, name)
		default:
			return scope{}, badRequest("invalid_scope", "Invalid scopes: "+asked)
		}
	}
	s.shown = strings.Join(shown, " ")
	return s, nil
}

// checkOrganizations refuses a scope that names an organisation that is not there or disabled.
func (i *Issuer) checkOrganizations(asked string) *oauthError {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, name := range strings.Fields(asked) {
		alias, named := strings.CutPrefix(name, "organization:")
		if named && alias != "*" && !slices.ContainsFunc(i.realm.Organizations, func(o *realm.Organization) bool { return o.Alias == alias && o.Enabled }) {
			return badRequest("invalid_scope", "Invalid scopes: "+asked)
		}
	}
	return nil
}

// organizations are the aliases that a token names, as Keycloak picks them:
// organization:<alias> that one, organization:* all, and plain organization the only
// one, for a user of several would have to choose.
func (i *Issuer) organizations(s scope, user *realm.User) []string {
	var all, named []string
	for _, o := range i.realm.OrganizationsOf(user.Username) {
		all = append(all, o.Alias)
		if s.has("organization:" + o.Alias) {
			named = append(named, o.Alias)
		}
	}
	switch {
	case s.has("organization:*"), s.has("organization") && len(all) == 1:
		return all
	}
	return named
}

// roles are the roles of a user that tokens of a client may carry.
func (i *Issuer) roles(c *realm.Client, user *realm.User) (realmRoles []string, clientRoles map[string][]string) {
	allowed := func(mappings []realm.ScopeMapping, role string) bool {
		return c.FullScope || slices.ContainsFunc(mappings, func(m realm.ScopeMapping) bool {
			return m.Client == c.ID && slices.Contains(m.Roles, role)
		})
	}
	for _, role := range user.RealmRoles {
		if allowed(i.realm.ScopeMappings, role) {
			realmRoles = append(realmRoles, role)
		}
	}
	for owner, roles := range user.ClientRoles {
		for _, role := range roles {
			if allowed(i.realm.ClientScopeMappings[owner], role) {
				if clientRoles == nil {
					clientRoles = map[string][]string{}
				}
				clientRoles[owner] = append(clientRoles[owner], role)
			}
		}
	}
	return realmRoles, clientRoles
}
