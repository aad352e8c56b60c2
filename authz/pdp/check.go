package pdp

import (
	"context"
	"fmt"
	"slices"

	"encore.app/authz/principal"
	"github.com/cerbos/cerbos-sdk-go/cerbos"
	effectv1 "github.com/cerbos/cerbos/api/genpb/cerbos/effect/v1"
	requestv1 "github.com/cerbos/cerbos/api/genpb/cerbos/request/v1"
	responsev1 "github.com/cerbos/cerbos/api/genpb/cerbos/response/v1"
	schemav1 "github.com/cerbos/cerbos/api/genpb/cerbos/schema/v1"
)

// maxBatch is the decision point's own limit of resources in one request, and
// of actions on one resource.
const maxBatch = 50

// newID stands for the id of a resource that has none yet; the decision point
// refuses an empty one.
const newID = "new"

// noMatch is how the decision point reports that no policy applied.
const noMatch = "NO_MATCH"

// Check decides one action on one resource.
func (c *Client) Check(ctx context.Context, p *principal.Principal, r Resource, action string) (Decision, error) {
	all, err := c.CheckAll(ctx, p, []Query{{Resource: r, Actions: []string{action}}})
	if err != nil {
		return Decision{}, err
	}
	return all[0][action], nil
}

// CheckAll decides every action of every query; the answers are in the order of
// the queries. Up to 50 queries make one call.
func (c *Client) CheckAll(ctx context.Context, p *principal.Principal, queries []Query) ([]map[string]Decision, error) {
	form, err := p.Cerbos()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	out := make([]map[string]Decision, 0, len(queries))
	for len(queries) > 0 {
		n := min(len(queries), maxBatch)
		answers, err := c.checkBatch(ctx, form, queries[:n])
		if err != nil {
			return nil, err
		}
		out, queries = append(out, answers...), queries[n:]
	}
	return out, nil
}

func (c *Client) checkBatch(ctx context.Context, form *cerbos.Principal, queries []Query) ([]map[string]Decision, error) {
	req := &requestv1.CheckResourcesRequest{Principal: form.Proto(), IncludeMeta: true}
	for _, q := range queries {
		resource, err := resourceForm(q.Resource)
		if err != nil {
			return nil, err
		}
		if len(q.Actions) == 0 || len(q.Actions) > maxBatch {
			return nil, fmt.Errorf("%w: %s: %d actions", ErrInvalid, q.Resource.Kind, len(q.Actions))
		}
		req.Resources = append(req.Resources, &requestv1.CheckResourcesRequest_ResourceEntry{Actions: q.Actions, Resource: resource.Proto()})
	}
	version := c.digest() // before the call: an answer is never credited to policies newer than it
	res, err := call(ctx, c, "CheckResources", c.stub.CheckResources, req)
	if err != nil {
		return nil, err
	}
	if len(res.GetResults()) != len(queries) {
		return nil, fmt.Errorf("%w: %d answers to %d questions", ErrUnavailable, len(res.GetResults()), len(queries))
	}
	out := make([]map[string]Decision, len(queries))
	for i, result := range res.GetResults() {
		asked := req.Resources[i].GetResource()
		if got := result.GetResource(); got.GetKind() != asked.GetKind() || got.GetId() != asked.GetId() {
			return nil, fmt.Errorf("%w: answers out of order", ErrUnavailable)
		}
		decisions, err := decide(result, queries[i].Actions)
		if err != nil {
			return nil, err
		}
		for action, d := range decisions {
			d.ID, d.PolicyVersion = res.GetCerbosCallId(), version
			decisions[action] = d
		}
		out[i] = decisions
	}
	return out, nil
}

func resourceForm(r Resource) (*cerbos.Resource, error) {
	id := r.ID
	if id == "" {
		id = newID
	}
	form := cerbos.NewResource(r.Kind, id).WithAttributes(r.Attr)
	if err := form.Err(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, r.Kind, err)
	}
	return form, nil
}

// decide reads one result. What the schemas refuse comes back as a denial; it
// is told apart here, because it says nothing about the caller's rights.
func decide(result *responsev1.CheckResourcesResponse_ResultEntry, actions []string) (map[string]Decision, error) {
	kind := result.GetResource().GetKind()
	if err := invalid(kind, result.GetValidationErrors()); err != nil {
		return nil, err
	}
	out := make(map[string]Decision, len(actions))
	for _, action := range actions {
		policy := result.GetMeta().GetActions()[action].GetMatchedPolicy()
		if policy == noMatch {
			return nil, fmt.Errorf("%w: %s", ErrUnmatched, kind)
		}
		d := Decision{
			Allowed:      result.GetActions()[action] == effectv1.Effect_EFFECT_ALLOW,
			Reasons:      []string{},
			Policy:       policy,
			DerivedRoles: result.GetMeta().GetEffectiveDerivedRoles(),
		}
		if !d.Allowed {
			d.Reasons, d.Rules = explain(result, action)
		}
		out[action] = d
	}
	return out, nil
}

// explain reads the outputs of the guardrails that spoke: what each says, and its name. A guardrail
// for all roles speaks once for each role of the caller.
func explain(result *responsev1.CheckResourcesResponse_ResultEntry, action string) (reasons, rules []string) {
	for _, o := range result.GetOutputs() {
		if ActionOf(o) != action {
			continue
		}
		if !slices.Contains(rules, o.GetSrc()) {
			rules = append(rules, o.GetSrc())
		}
		if s := o.GetVal().GetStringValue(); s != "" {
			reasons = append(reasons, s)
		}
	}
	return ordered(reasons), rules
}

func invalid(kind string, errs []*schemav1.ValidationError) error {
	if len(errs) == 0 {
		return nil
	}
	first := errs[0]
	return fmt.Errorf("%w: %s: %s %s: %s (%d in all)", ErrInvalid, kind, first.GetSource(), first.GetPath(), first.GetMessage(), len(errs))
}
