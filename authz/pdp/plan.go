package pdp

import (
	"context"
	"errors"
	"fmt"

	"encore.app/authz/filter"
	"encore.app/authz/principal"
	enginev1 "github.com/cerbos/cerbos/api/genpb/cerbos/engine/v1"
	requestv1 "github.com/cerbos/cerbos/api/genpb/cerbos/request/v1"
)

// Plan says on which resources of a kind the principal may do the action. known
// are the attributes that all of them share; it has to pin org_id wherever the
// kind has one, or the plan would range over other organisations.
func (c *Client) Plan(ctx context.Context, p *principal.Principal, action, kind string, known map[string]any) (*filter.Plan, error) {
	form, err := p.Cerbos()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	resource, err := resourceForm(Resource{Kind: kind, Attr: known})
	if err != nil {
		return nil, err
	}
	version := c.digest() // before the call, as for a check
	res, err := call(ctx, c, "PlanResources", c.stub.PlanResources, &requestv1.PlanResourcesRequest{
		Action:      action,
		IncludeMeta: true,
		Principal:   form.Proto(),
		Resource:    &enginev1.PlanResourcesInput_Resource{Kind: kind, Attr: resource.Proto().GetAttr()},
	})
	if err != nil {
		return nil, err
	}
	if err := invalid(kind, res.GetValidationErrors()); err != nil {
		return nil, err
	}
	if res.GetMeta().GetFilterDebug() == noMatch {
		// Nobody of these roles may ever, or there is no such policy: only a
		// check tells the two apart.
		if _, err := c.Check(ctx, p, Resource{Kind: kind, Attr: known}, action); errors.Is(err, ErrUnmatched) {
			return nil, err
		}
	}
	plan, err := filter.New(res.GetFilter())
	if err != nil {
		return nil, err
	}
	plan.DecisionID, plan.PolicyVersion = res.GetCerbosCallId(), version
	return plan, nil
}
