package principal

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cerbos/cerbos-sdk-go/cerbos"
)

// Risks that a policy can see in the attribute "risk".
const (
	RiskImpersonated = "impersonated"
	RiskStaleAuth    = "stale_auth"
	RiskSuspendedOrg = "suspended_org"
)

// StatusActive is the only organisation status that carries no risk.
const StatusActive = "active"

// policyForm is the principal as the policy engine takes it, built on first
// use and kept: one request asks for several decisions.
type policyForm struct {
	once        sync.Once
	cerbos      *cerbos.Principal
	fingerprint [sha256.Size]byte
	err         error
}

// Cerbos is the principal as the policy engine takes it. It is shared by all
// callers and must not be changed.
func (p *Principal) Cerbos() (*cerbos.Principal, error) {
	p.build()
	return p.policy.cerbos, p.policy.err
}

// Fingerprint is a hash of everything about the principal that a policy can
// see. Two principals with one fingerprint get the same decisions.
func (p *Principal) Fingerprint() ([sha256.Size]byte, error) {
	p.build()
	return p.policy.fingerprint, p.policy.err
}

func (p *Principal) build() {
	p.policy.once.Do(func() {
		canonical, err := json.Marshal([]any{p.id, p.roles, p.attrs}) // map keys are sorted
		if err != nil {
			p.policy.err = fmt.Errorf("principal %s: %w", p.id, err)
			return
		}
		p.policy.fingerprint = sha256.Sum256(canonical)
		form := cerbos.NewPrincipal(p.id, p.roles...).WithAttributes(p.attrs)
		if err := form.Err(); err != nil {
			p.policy.err = fmt.Errorf("principal %s: %w", p.id, err)
			return
		}
		p.policy.cerbos = form
	})
}

// roles are the realm roles and what kind of caller it is. Keys and impersonated
// callers act inside one organisation, so a platform role never comes with them.
func roles(c *Caller) []string {
	if c.APIKeyID != "" {
		return []string{RoleAPIKey, RoleUser}
	}
	out := []string{RoleUser}
	if c.ImpersonatorID == "" {
		for _, r := range c.RealmRoles {
			if r != RoleAPIKey && r != RoleSystem && r != "" { // ours to give, not the realm's
				out = append(out, r)
			}
		}
	}
	return sorted(out)
}

// attributes are always all present: under strict evaluation a missing one
// would turn into a denial without a reason.
func attributes(c *Caller, t *Tenant, now time.Time) map[string]any {
	if t == nil {
		t = &Tenant{}
	}
	teamIDs := make([]string, 0, len(t.Teams))
	teamRoles := make(map[string]any, len(t.Teams))
	for _, team := range t.Teams {
		if team.ID == "" {
			continue // would match every resource that has no team
		}
		teamIDs = append(teamIDs, team.ID)
		teamRoles[team.ID] = list(team.Roles)
	}
	return map[string]any{
		"audience":        c.Audience,
		"org_id":          t.OrgID,
		"org_roles":       list(t.OrgRoles),
		"team_ids":        list(teamIDs),
		"team_roles":      teamRoles,
		"license_tier":    t.Tier,
		"feature_flags":   list(t.Flags),
		"mfa_level":       c.MFALevel,
		"risk":            list(risks(c, t, now)),
		"impersonator_id": c.ImpersonatorID,
		"write":           c.ImpersonatorID == "" || c.Write,
	}
}

func risks(c *Caller, t *Tenant, now time.Time) []string {
	var out []string
	if c.ImpersonatorID != "" {
		out = append(out, RiskImpersonated)
	}
	if !c.AuthTime.IsZero() && now.Sub(c.AuthTime) > StaleAuthAfter {
		out = append(out, RiskStaleAuth)
	}
	if t.OrgID != "" && t.Status != StatusActive {
		out = append(out, RiskSuspendedOrg)
	}
	return out
}

// list is a sorted copy without repeats, as the engine's value conversion takes
// it; sorting makes equal principals equal in the decision cache.
func list(in []string) []any {
	out := make([]any, 0, len(in))
	for _, s := range sorted(in) {
		out = append(out, s)
	}
	return out
}

func sorted(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}
