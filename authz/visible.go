package authz

import (
	"context"

	"encore.app/authz/filter"
	"encore.app/infra/platform/fault"
)

// Visible is the SQL predicate of the resources of a kind that the request's principal may read in
// one organisation. Its placeholders begin at firstArg. Whoever may read none of that kind whatever
// its attributes is refused rather than shown an empty list.
func Visible(ctx context.Context, kind, org string, columns map[string]filter.Column, firstArg int) (where string, args []any, err error) {
	p, err := Principal(ctx)
	if err != nil {
		return "", nil, err
	}
	c, err := decider()
	if err != nil {
		return "", nil, fault.Unavailable("cerbos", err)
	}
	// What all of them share is pinned, so that the plan cannot range over other organisations.
	known := map[string]any{"org_id": org}
	if t := p.Tenant; t != nil && t.OrgID == org {
		known["org_status"], known["license_tier"] = t.Status, t.Tier
	}
	plan, err := c.Plan(ctx, p, "read", kind, known)
	if err != nil {
		return "", nil, undecided(err)
	}
	d := Decision{ID: plan.DecisionID, PolicyVersion: plan.PolicyVersion, Allowed: !plan.AlwaysDenied()}
	Note(ctx, Made{Decision: d, Action: "list", Kind: kind})
	if !d.Allowed {
		return "", nil, fault.Denied(fault.PolicyDenied, d.ID)
	}
	where, args, err = plan.SQL(columns, firstArg)
	if err != nil {
		return "", nil, fault.Internal(err)
	}
	return where, args, nil
}
