package principal

import (
	"time"
)

// StaleAuthAfter is the age of a sign-in beyond which the caller carries the
// risk [RiskStaleAuth]. It is longer than an ordinary SSO session, so only
// offline and long-lived sessions reach it.
const StaleAuthAfter = 12 * time.Hour

// Roles that are not realm roles: every caller who signed in or uses a key is a
// user, a key is an api_key as well, and the application's own work is system.
const (
	RoleUser   = "user"
	RoleAPIKey = "api_key"
	RoleSystem = "system"
)

// Actor types, as the audit log records them.
const (
	ActorUser   = "user"
	ActorAPIKey = "api_key"
	ActorSystem = "system"
)

// Caller is who a verified credential says is calling.
type Caller struct {
	UserID        string // our id; empty for the system
	Issuer        string
	Subject       string
	Email         string
	Username      string
	EmailVerified bool
	Audience      string
	RealmRoles    []string
	MFALevel      int
	SessionID     string
	// AuthTime is when the person signed in; zero when the credential does not
	// say, which is for the verifier to accept or refuse.
	AuthTime time.Time
	Expiry   time.Time
	// Organizations are the aliases the token names. They only narrow, and only
	// when OrganizationsPresent: an absent claim says nothing.
	Organizations        []string
	OrganizationsPresent bool
	OrgIDClaim           string
	APIKeyID             string
	// KeyRoles are the organisation roles that an API key was given. It never has more than these,
	// nor more than whoever made it has now.
	KeyRoles       []string
	ImpersonatorID string
	// Write lifts the read-only restriction of an impersonation. It means
	// nothing for anyone else.
	Write bool
}

// Tenant is the organisation acted in, as this caller sees it.
type Tenant struct {
	OrgID    string
	Slug     string
	Status   string
	Tier     string
	Flags    []string
	OrgRoles []string
	Teams    []Team
	// OrgEpoch and UserEpoch are the counters of authz/epoch as of the moment this was read; 0 where
	// they were not read with it.
	OrgEpoch, UserEpoch uint64
}

// Team is one team of the tenant that the caller belongs to.
type Team struct {
	ID    string
	Roles []string
}

// Principal is a caller, in an organisation or outside any.
type Principal struct {
	Caller *Caller
	Tenant *Tenant // nil outside an organisation

	id     string
	actor  string
	roles  []string
	policy policyForm
}

// New joins a caller and the organisation acted in; t is nil outside one.
// Neither may be changed afterwards.
func New(c *Caller, t *Tenant) *Principal { return newAt(c, t, time.Now()) }

func newAt(c *Caller, t *Tenant, now time.Time) *Principal {
	t = bounded(c, t)
	p := &Principal{Caller: c, Tenant: t, id: c.UserID, actor: ActorUser}
	if c.APIKeyID != "" {
		p.id, p.actor = c.APIKeyID, ActorAPIKey
	}
	p.roles = roles(c)
	p.policy = formOf(p.id, p.roles, attributes(c, t, now))
	return p
}

// System is the application acting for itself: a cron job, a consumer, a
// migration. No policy allows it anything; it names the actor in the audit log.
func System(name string) *Principal {
	c := &Caller{}
	p := &Principal{Caller: c, id: RoleSystem + ":" + name, actor: ActorSystem, roles: []string{RoleSystem}}
	p.policy = formOf(p.id, p.roles, attributes(c, nil, time.Time{}))
	return p
}

// ID identifies the principal to policies and in the audit log: the user's id,
// the key's id, or "system:" and a name.
func (p *Principal) ID() string { return p.id }

// ActorType is "user", "api_key" or "system".
func (p *Principal) ActorType() string { return p.actor }

// Roles are the roles that policies see. The slice must not be changed.
func (p *Principal) Roles() []string { return p.roles }

// OrgID is the organisation acted in, or "".
func (p *Principal) OrgID() string {
	if p.Tenant == nil {
		return ""
	}
	return p.Tenant.OrgID
}

// Epochs are the counters that the tenant was read with; 0 is unknown.
func (p *Principal) Epochs() (org, user uint64) {
	if p.Tenant == nil {
		return 0, 0
	}
	return p.Tenant.OrgEpoch, p.Tenant.UserEpoch
}

// Impersonated reports whether someone else acts as this caller.
func (p *Principal) Impersonated() bool { return p.Caller.ImpersonatorID != "" }
