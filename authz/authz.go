package authz

import (
	"context"
	"errors"

	"encore.app/authz/pdp"
	"encore.app/authz/principal"
	"encore.app/infra/platform/fault"
	"encore.app/policies"
	"encore.dev/beta/errs"
)

// Resource is what an action is on. Its zero fields are sent as such: the policies' schemas want
// every attribute present, so that a rule can never fail for want of one.
type Resource struct {
	Kind        string
	ID          string
	OrgID       string
	TeamID      string
	OwnerID     string
	Sensitivity string
	PII         bool
	OrgStatus   string
	LicenseTier string
	// Extra are the attributes that only this kind has.
	Extra map[string]any
}

// Decision is what the policies said.
type Decision = pdp.Decision

// Check asks whether the request's principal may do action on r. A decision against it is an error
// that the caller can be sent. Every decision is noted for the guard, the log line and the audit.
func Check(ctx context.Context, action string, r Resource) (Decision, error) {
	p, err := Principal(ctx)
	if err != nil {
		return Decision{}, err
	}
	c, err := asking(r.Kind, action)
	if err != nil {
		return Decision{}, err
	}
	form := r.form(p)
	d, err := c.Check(ctx, p, form, action)
	if err != nil {
		return Decision{}, undecided(err)
	}
	d.Asked = &pdp.Asked{Principal: p, Resource: form, Action: action}
	Note(ctx, Made{Decision: d, Action: action, Kind: r.Kind, ResourceID: r.ID})
	if !d.Allowed {
		return d, fault.Denied(reason(d), d.ID)
	}
	return d, nil
}

// Question is one resource and the actions asked about.
type Question struct {
	Resource Resource
	Actions  []string
}

// CheckAll asks about many resources in one call to the PDP. Denials are answers here, not errors. What
// an outsider says of a resource goes through [Describe] first, which knows what the schemas take.
func CheckAll(ctx context.Context, p *principal.Principal, questions []Question) ([]map[string]Decision, error) {
	c, err := process()
	if err != nil {
		return nil, fault.Unavailable(part, err)
	}
	queries := make([]pdp.Query, len(questions))
	for i, q := range questions {
		queries[i] = pdp.Query{Resource: q.Resource.form(p), Actions: q.Actions}
	}
	decisions, err := c.CheckAll(ctx, p, queries)
	if err != nil {
		return nil, undecided(err)
	}
	for i, q := range questions {
		for action, d := range decisions[i] {
			d.Allowed = true // asking is not acting: a "no" in the answer refuses nothing
			Note(ctx, Made{Decision: d, Action: action, Kind: q.Resource.Kind, ResourceID: q.Resource.ID})
		}
	}
	return decisions, nil
}

// part is how the PDP is called towards callers and operators.
const part = "cerbos"

// asking is what to ask about an action of a kind. One that no policy knows is a bug of the caller.
func asking(kind, action string) (pdp.Decider, error) {
	if !policies.Knows(kind, action) {
		return nil, undecided(pdp.Unknown(kind, action))
	}
	c, err := process()
	if err != nil {
		return nil, fault.Unavailable(part, err)
	}
	return c, nil
}

// Principal is who makes the request that ctx serves.
func Principal(ctx context.Context) (*principal.Principal, error) {
	p := principal.FromContext(ctx)
	if p == nil {
		return nil, fault.Internal(errors.New("authz: no principal in the context"))
	}
	return p, nil
}

// form fills in what the tenant already says.
func (r Resource) form(p *principal.Principal) pdp.Resource {
	if t := p.Tenant; t != nil && t.OrgID == r.OrgID {
		if r.OrgStatus == "" {
			r.OrgStatus = t.Status
		}
		if r.LicenseTier == "" {
			r.LicenseTier = t.Tier
		}
	}
	if r.Sensitivity == "" {
		r.Sensitivity = "internal"
	}
	attr := map[string]any{
		"org_id":       r.OrgID,
		"team_id":      r.TeamID,
		"owner_id":     r.OwnerID,
		"sensitivity":  r.Sensitivity,
		"pii":          r.PII,
		"org_status":   r.OrgStatus,
		"license_tier": r.LicenseTier,
	}
	for k, v := range r.Extra {
		attr[k] = v
	}
	return pdp.Resource{Kind: r.Kind, ID: r.ID, Attr: attr}
}

// reason is the first reason that the deciding rules gave.
func reason(d Decision) fault.Reason {
	if len(d.Reasons) > 0 {
		return fault.Reason(d.Reasons[0])
	}
	return fault.PolicyDenied
}

// undecided maps a failure to decide. Nothing is ever allowed by it.
func undecided(err error) *errs.Error {
	if errors.Is(err, pdp.ErrUnavailable) {
		return fault.Unavailable(part, err)
	}
	return fault.Internal(err)
}
