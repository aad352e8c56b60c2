package principal

import (
	"cmp"
	"crypto/sha256"
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

// policyForm is the principal as the policy engine takes it, and what decisions on it are remembered
// under. Each is made on first use and kept: one request asks for several decisions, and most are
// remembered ones, which need no more than the fingerprint.
type policyForm struct {
	fingerprint func() ([sha256.Size]byte, error)
	cerbos      func() (*cerbos.Principal, error)
}

// Cerbos is the principal as the policy engine takes it. It is shared by all
// callers and must not be changed.
func (p *Principal) Cerbos() (*cerbos.Principal, error) { return p.policy.cerbos() }

// Fingerprint is a hash of everything about the principal that a policy can
// see. Two principals with one fingerprint get the same decisions.
func (p *Principal) Fingerprint() ([sha256.Size]byte, error) { return p.policy.fingerprint() }

func formOf(id string, roles []string, attrs []attribute) policyForm {
	return policyForm{
		fingerprint: sync.OnceValues(func() ([sha256.Size]byte, error) {
			seen, err := fingerprint(id, roles, attrs)
			if err != nil {
				err = fmt.Errorf("principal %s: %w", id, err)
			}
			return seen, err
		}),
		cerbos: sync.OnceValues(func() (*cerbos.Principal, error) {
			form := cerbos.NewPrincipal(id, roles...).WithAttributes(plain(attrs))
			if err := form.Err(); err != nil {
				return nil, fmt.Errorf("principal %s: %w", id, err)
			}
			return form, nil
		}),
	}
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

// attribute is something about the principal that policies see: a string, a bool, an int, strings, or
// teams, which they see as roles by team. Lists are sorted and have no repeats: equal principals look alike.
type attribute struct {
	name  string
	value any
}

// attributes are always all present: under strict evaluation a missing one
// would turn into a denial without a reason.
func attributes(c *Caller, t *Tenant, now time.Time) []attribute {
	if t == nil {
		t = &Tenant{}
	}
	teams := make([]Team, 0, len(t.Teams))
	ids := make([]string, 0, len(t.Teams))
	for _, team := range t.Teams {
		if team.ID == "" {
			continue // would match every resource that has no team
		}
		teams = append(teams, Team{ID: team.ID, Roles: sorted(team.Roles)})
		ids = append(ids, team.ID)
	}
	slices.SortFunc(teams, func(a, b Team) int { return cmp.Compare(a.ID, b.ID) })
	return []attribute{
		{"audience", c.Audience},
		{"org_id", t.OrgID},
		{"org_roles", sorted(t.OrgRoles)},
		{"team_ids", sorted(ids)},
		{"team_roles", teams},
		{"license_tier", t.Tier},
		{"feature_flags", sorted(t.Flags)},
		{"mfa_level", c.MFALevel},
		{"risk", sorted(risks(c, t, now))},
		{"impersonator_id", c.ImpersonatorID},
		{"write", c.ImpersonatorID == "" || c.Write},
	}
}

// plain has the attributes as the engine's value conversion takes them.
func plain(attrs []attribute) map[string]any {
	out := make(map[string]any, len(attrs))
	for _, a := range attrs {
		switch v := a.value.(type) {
		case []string:
			out[a.name] = list(v)
		case []Team:
			roles := make(map[string]any, len(v))
			for _, team := range v {
				roles[team.ID] = list(team.Roles)
			}
			out[a.name] = roles
		default:
			out[a.name] = v
		}
	}
	return out
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

func list(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

// sorted is in without repeats and in order; in itself, if it is so already.
func sorted(in []string) []string {
	for i := 1; i < len(in); i++ {
		if in[i-1] >= in[i] {
			out := slices.Clone(in)
			slices.Sort(out)
			return slices.Compact(out)
		}
	}
	return in
}
