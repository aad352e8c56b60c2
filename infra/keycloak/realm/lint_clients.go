package realm

import (
	"net/url"
	"slices"
	"strings"
)

// frontClients are the clients that people sign in to, and the audience of each one's tokens.
var frontClients = map[string]string{
	"admin-console": "tenantry-admin",
	"org-console":   "tenantry-org",
	"app":           "tenantry-app",
}

// machineClients are the service accounts, and the least rights that each needs. Only the operators'
// may change clients: whoever may can take the realm over.
var machineClients = map[string][]string{
	"tenantry-provisioner": {"manage-organizations", "manage-users", "query-users", "view-users"},
	"tenantry-operator":    {"manage-clients", "manage-organizations", "manage-users", "query-users", "view-realm", "view-users"},
}

var platformRoles = []string{"platform_admin", "platform_auditor", "platform_support"}

// fronts are the clients that people sign in to, as far as they are there.
func (l *lint) fronts() []lintClient {
	return slices.DeleteFunc(slices.Clone(l.Clients), func(c lintClient) bool { return frontClients[c.ID] == "" })
}

func (l *lint) machines() []lintClient {
	return slices.DeleteFunc(slices.Clone(l.Clients), func(c lintClient) bool { return machineClients[c.ID] == nil })
}

func (l *lint) knownClients() {
	l.want(len(l.fronts()) == len(frontClients) && len(l.machines()) == len(machineClients), "a client is missing")
	for _, c := range l.Clients {
		l.want(frontClients[c.ID] != "" || machineClients[c.ID] != nil, "nobody has thought about client %s", c.ID)
	}
}

func (l *lint) fullScope() {
	for _, c := range l.Clients {
		l.want(isFalse(c.FullScope), "%s: fullScopeAllowed is not off, and its tokens carry every role and audience", c.ID)
	}
}

func (l *lint) grants() {
	for _, c := range l.Clients {
		l.want(isFalse(c.ImplicitFlow), "%s: the implicit flow is not off", c.ID)
		l.want(isFalse(c.DirectAccessGrants), "%s: the direct grant is not off, and lets one password do", c.ID)
	}
	for _, c := range l.fronts() {
		l.want(c.Public && isTrue(c.StandardFlow) && isFalse(c.ServiceAccounts), "%s: must be public, with the code flow alone", c.ID)
	}
}

func (l *lint) redirects() {
	for _, c := range l.fronts() {
		l.want(len(c.RedirectURIs) > 0, "%s: has no redirect", c.ID)
		for _, uri := range c.RedirectURIs {
			l.want(exactHTTPS(uri), "%s: redirect %s is not exact, or not https", c.ID, uri)
		}
		for _, origin := range c.WebOrigins {
			l.want(exactHTTPS(origin), "%s: web origin %s is not exact, or not https", c.ID, origin)
		}
		for _, uri := range strings.Split(c.Attributes["post.logout.redirect.uris"], "##") {
			l.want(uri == "+" || exactHTTPS(uri), "%s: after a sign-out %q would do", c.ID, uri)
		}
	}
}

// exactHTTPS takes a placeholder by its default, which the environment replaces.
func exactHTTPS(uri string) bool {
	u, err := url.Parse(withDefaults(uri))
	return err == nil && u.Scheme == "https" && u.Host != "" && !strings.Contains(uri, "*") && u.Fragment == "" && u.User == nil
}

// withDefaults fills placeholders with their defaults.
func withDefaults(text string) string {
	filled, _ := expand(text, func(string) string { return "" }).(string)
	return filled
}

func (l *lint) pkce() {
	for _, c := range l.fronts() {
		l.want(c.Attributes["pkce.code.challenge.method"] == "S256", "%s: PKCE with S256 is not required", c.ID)
	}
}

func (l *lint) audience() {
	for _, c := range l.fronts() {
		audiences := (&Client{ProtocolMappers: c.ProtocolMappers}).Audiences()
		l.want(slices.Equal(audiences, []string{frontClients[c.ID]}), "%s: access tokens are for %v, not for %s alone", c.ID, audiences, frontClients[c.ID])
		for _, m := range c.ProtocolMappers {
			l.want(m.Kind != "oidc-audience-mapper" || m.Config["id.token.claim"] == "false", "%s: ID tokens name the API too, and could be taken for access tokens", c.ID)
		}
	}
}

func (l *lint) scopes() {
	for _, c := range l.fronts() {
		for _, scope := range []string{"basic", "acr", "profile", "email", "roles", "web-origins"} {
			l.want(slices.Contains(c.DefaultScopes, scope), "%s: default scope %s is missing (basic carries sub, acr the level)", c.ID, scope)
		}
		l.want(slices.Contains(c.OptionalScopes, "organization") && !slices.Contains(c.DefaultScopes, "organization"),
			"%s: organization is not optional: as a default it names every organisation", c.ID)
		l.want(!slices.Contains(slices.Concat(c.DefaultScopes, c.OptionalScopes), "offline_access"), "%s: may ask for sessions that outlast the sign-out", c.ID)
	}
	for _, c := range l.machines() {
		l.want(slices.Contains(c.DefaultScopes, "basic") && slices.Contains(c.DefaultScopes, "roles"), "%s: lacks the scopes basic and roles", c.ID)
	}
}

func (l *lint) tokenForm() {
	for _, c := range l.Clients {
		l.want(c.Attributes["client.use.lightweight.access.token.enabled"] == "false", "%s: lightweight tokens lack what the API reads", c.ID)
		l.want(c.Attributes["access.token.header.type.rfc9068"] == "true", "%s: access tokens do not say that they are some (RFC 9068)", c.ID)
		algorithm := c.Attributes["access.token.signed.response.alg"]
		l.want(algorithm == "" || slices.Contains(signatureAlgorithms, algorithm), "%s: access tokens are signed with %s, which the API does not accept", c.ID, algorithm)
		// What the realm's lifetimes bound, a client of its own mind would not.
		for _, name := range []string{"access.token.lifespan", "client.session.idle.timeout", "client.session.max.lifespan"} {
			own := c.Attributes[name]
			l.want(own == "", "%s: has a lifetime of its own: %s %s", c.ID, name, own)
		}
	}
	for _, c := range l.machines() {
		l.want(c.Attributes["client_credentials.use_refresh_token"] == "false", "%s: is given refresh tokens, which outlive a rotated secret", c.ID)
	}
}

func (l *lint) backchannelLogout() {
	for _, c := range l.fronts() {
		to := c.Attributes["backchannel.logout.url"]
		l.want(exactHTTPS(to) && strings.HasSuffix(to, "/oidc/backchannel-logout"), "%s: the API is told of sign-outs at %q", c.ID, to)
		l.want(c.Attributes["backchannel.logout.session.required"] == "true", "%s: sign-outs do not say which session ended", c.ID)
	}
}

func (l *lint) minimumLevel() {
	for _, c := range l.fronts() {
		want := ""
		if c.ID == "admin-console" {
			want = "2"
		}
		l.want(c.Attributes["minimum.acr.value"] == want, "%s: minimum.acr.value is %q, not %q (default.acr.values can be stripped on the way)", c.ID, c.Attributes["minimum.acr.value"], want)
	}
}

// roleReach: platform roles are in tokens of the platform console alone, and nobody has one by default.
func (l *lint) roleReach() {
	var names []string
	for _, r := range l.Roles.Realm {
		names = append(names, r.Name)
		l.want(!r.Composite, "role %s brings others along", r.Name)
	}
	slices.Sort(names)
	l.want(slices.Equal(names, platformRoles), "realm roles are %v, not %v", names, platformRoles)
	for _, m := range l.ScopeMappings {
		l.want(m.Client == "admin-console", "tokens of %s carry %v", m.Client, m.Roles)
	}
	for _, key := range []string{"defaultRoles", "defaultRole", "defaultGroups"} {
		_, has := l.raw[key]
		l.want(!has, "%s gives everybody roles", key)
	}
}

func (l *lint) serviceAccounts() {
	for _, c := range l.machines() {
		l.want(!c.Public && isTrue(c.ServiceAccounts) && isFalse(c.StandardFlow), "%s: must be confidential, with client credentials alone", c.ID)
		l.want(len(c.RedirectURIs) == 0, "%s: a machine is redirected nowhere", c.ID)
	}
	for owner, mappings := range l.ClientScopeMappings {
		for _, m := range mappings {
			l.want(owner == "realm-management" && sameMembers(m.Roles, machineClients[m.Client]), "tokens of %s carry %s roles %v", m.Client, owner, m.Roles)
		}
	}
	for _, u := range l.Users {
		if u.ServiceAccountClient == "" {
			continue // a person, which is a finding of its own
		}
		l.want(len(u.ClientRoles) == 1 && sameMembers(u.ClientRoles["realm-management"], machineClients[u.ServiceAccountClient]),
			"%s has %v, not %v", u.Username, u.ClientRoles, machineClients[u.ServiceAccountClient])
		l.want(len(u.RealmRoles) == 0, "%s has realm roles %v", u.Username, u.RealmRoles)
	}
}

func sameMembers(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
