package orgs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"encore.app/authz"
	"encore.app/authz/pdp"
	"encore.app/authz/principal"
	"encore.app/infra/platform/fault"
	"encore.app/policies"
	"encore.dev/types/uuid"
)

// mostChecks is how many resources, and actions on each, one request may ask about.
const mostChecks = 50

// CheckRequest asks what the caller may do, so that a user interface can show only that.
type CheckRequest struct {
	Checks []CheckItem `json:"checks" schema:"minItems=1;maxItems=50"`
}

// CheckItem is one resource and the actions asked about.
type CheckItem struct {
	Resource CheckResource `json:"resource"`
	Actions  []string      `json:"actions" schema:"minItems=1;maxItems=50"`
}

// CheckResource names a resource by its id, or describes one that need not be there.
type CheckResource struct {
	Kind  string          `json:"kind"`
	ID    string          `json:"id,omitempty"`
	OrgID string          `json:"org_id,omitempty" schema:"format=uuid"`
	Attr  json.RawMessage `json:"attr,omitempty" schema:"type=object"` // an object of attributes
}

// describe is the resource as far as it was told; its errors can be shown.
func (r CheckResource) describe() (authz.Resource, error) {
	var attr map[string]any
	if len(r.Attr) > 0 {
		if err := json.Unmarshal(r.Attr, &attr); err != nil {
			return authz.Resource{}, errors.New("must be an object")
		}
	}
	return authz.Describe(r.Kind, cmp.Or(canonical(r.ID), r.ID), r.orgID(), attr)
}

// orgID is the organisation; "" if it is none. An organisation, and its licence, say it themselves.
func (r CheckResource) orgID() string {
	if id := canonical(r.ID); id != "" && (r.Kind == "org" || r.Kind == "license") {
		return id
	}
	return canonical(r.OrgID)
}

// canonical is a UUID in the one spelling that everything else uses; "" if it is none.
func canonical(text string) string {
	id, err := uuid.FromString(text)
	if err != nil {
		return ""
	}
	return id.String()
}

// Validate checks the request.
func (r *CheckRequest) Validate() error {
	var c fault.Checks
	if len(r.Checks) == 0 || len(r.Checks) > mostChecks {
		c.Add("checks", "must hold 1 to %d checks", mostChecks)
		return c.Err()
	}
	for i, item := range r.Checks {
		item.validate(&c, "checks["+strconv.Itoa(i)+"].")
	}
	return c.Err()
}

func (item CheckItem) validate(c *fault.Checks, at string) {
	r := item.Resource
	c.OneOf(at+"resource.kind", r.Kind, policies.Names()...)
	if r.OrgID != "" {
		if _, err := uuid.FromString(r.OrgID); err != nil {
			c.Add(at+"resource.org_id", "is not a UUID")
		}
	}
	if _, err := r.describe(); err != nil {
		c.Add(at+"resource.attr", "%s", err.Error())
	}
	if len(item.Actions) == 0 || len(item.Actions) > mostChecks {
		c.Add(at+"actions", "must hold 1 to %d actions", mostChecks)
	}
	for _, action := range item.Actions {
		c.OneOf(at+"actions", action, policies.Actions(r.Kind)...)
	}
}

// CheckResponse answers in the order of the questions.
type CheckResponse struct {
	Results []CheckResult `json:"results"`
}

// CheckResult is what the policies say of one resource.
type CheckResult struct {
	Actions       map[string]string `json:"actions" schema:"values.enum=allow|deny"` // allow or deny
	DecisionID    string            `json:"decision_id"`
	PolicyVersion string            `json:"policy_version"`
	Reasons       []string          `json:"reasons"`
}

// CheckAccess says what the caller may do to each resource. It grants nothing: the endpoints decide
// again, on what they know themselves. Of a resource that is there, what is stored counts and not what
// is told; one that its id names and the organisation does not have is denied with not_found.
//
// Anybody may ask, for themselves. Refuses with validation_failed.
//
//encore:api auth method=POST path=/api/v1/authz/check
func (s *Service) CheckAccess(ctx context.Context, r *CheckRequest) (*CheckResponse, error) {
	asker, err := authz.Principal(ctx)
	if err != nil {
		return nil, err
	}
	subjects, err := s.subjects(ctx, asker.Caller, r.Checks)
	if err != nil {
		return nil, err
	}
	as := map[*principal.Principal][]int{} // one call to the PDP a principal
	for i, x := range subjects {
		as[x.as] = append(as[x.as], i)
	}
	out := &CheckResponse{Results: make([]CheckResult, len(r.Checks))}
	for p, indexes := range as {
		questions := make([]authz.Question, len(indexes))
		for n, i := range indexes {
			questions[n] = subjects[i].question(r.Checks[i].Actions)
		}
		decisions, err := authz.CheckAll(ctx, p, questions)
		if err != nil {
			return nil, err
		}
		for n, i := range indexes {
			out.Results[i] = subjects[i].result(r.Checks[i].Actions, decisions[n])
		}
	}
	return out, nil
}

// list is the action whose decision says who may know that something is not there.
const list = "list"

// question is what the policies are asked. Of what is not there, only who may create or list its like
// can be told.
func (x subject) question(actions []string) authz.Question {
	if !x.absent {
		return authz.Question{Resource: x.resource, Actions: unique(actions)}
	}
	asked := slices.DeleteFunc(unique(actions), func(a string) bool { return !describes(a) })
	return authz.Question{Resource: x.resource, Actions: unique(append(asked, list))}
}

// describes says that an action is on something that need not be there.
func describes(action string) bool { return action == "create" || action == list }

func unique(actions []string) []string {
	out := slices.Clone(actions)
	slices.Sort(out)
	return slices.Compact(out)
}

// result is the answer to those who asked. A decision against them is the one that it names.
func (x subject) result(actions []string, decisions map[string]authz.Decision) CheckResult {
	out := CheckResult{Actions: map[string]string{}, Reasons: []string{}}
	for _, action := range unique(actions) {
		d := decisions[action]
		if x.absent && !describes(action) {
			d = missing(decisions[list])
		}
		if out.DecisionID == "" || !d.Allowed && len(out.Reasons) == 0 {
			out.DecisionID, out.PolicyVersion = d.ID, d.PolicyVersion
		}
		if d.Allowed {
			out.Actions[action] = pdp.Allow
			continue
		}
		out.Actions[action] = pdp.Deny
		out.Reasons = append(out.Reasons, d.Reasons...)
	}
	out.Reasons = unique(out.Reasons)
	return out
}

// missing is the answer for what is not there: not_found to those who may list its like, the refusal
// to everyone else.
func missing(listed authz.Decision) authz.Decision {
	if listed.Allowed {
		listed.Allowed, listed.Reasons = false, []string{string(fault.NotFoundReason)}
	}
	return listed
}
