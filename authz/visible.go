package authz

import (
	"context"

	"encore.app/authz/filter"
	"encore.app/authz/pdp"
	"encore.app/authz/principal"
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
	c, err := asking(kind, "read")
	if err != nil {
		return "", nil, err
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
	if plan.AlwaysDenied() {
		return "", nil, refused(ctx, p, kind, org, known, plan)
	}
	Note(ctx, Made{Decision: planned(p, kind, known, plan), Action: "list", Kind: kind})
	where, args, err = plan.SQL(columns, firstArg)
	if err != nil {
		return "", nil, fault.Internal(err)
	}
	return where, args, nil
}

// planned is a plan as the decision that it amounts to.
func planned(p *principal.Principal, kind string, known map[string]any, plan *filter.Plan) Decision {
	return Decision{
		ID: plan.DecisionID, PolicyVersion: plan.PolicyVersion, Allowed: !plan.AlwaysDenied(), Cached: plan.Cached,
		Asked: &pdp.Asked{Principal: p, Resource: pdp.Resource{Kind: kind, Attr: known}, Action: "read"},
	}
}

// refused says why nothing of a kind may be read. A plan does not; a decision on the list may.
func refused(ctx context.Context, p *principal.Principal, kind, org string, known map[string]any, plan *filter.Plan) error {
	every, err := Describe(kind, "", org, nil)
	if err != nil {
		return fault.Internal(err)
	}
	if _, err := Check(ctx, "list", every); err != nil {
		return err
	}
	d := planned(p, kind, known, plan)
	d.Reasons = []string{pdp.ReasonDenied}
	Note(ctx, Made{Decision: d, Action: "list", Kind: kind})
	return fault.Denied(reason(d), d.ID)
}
