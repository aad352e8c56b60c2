package orgs

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/fault"
	"encore.app/policies"
	"encore.dev/types/uuid"
)

// mostChecks is how many resources, and actions on each, one request may ask about.
const mostChecks = 50

// CheckRequest asks what the caller may do, so that a user interface can show only that.
type CheckRequest struct {
	Checks []CheckItem `json:"checks"`
}

// CheckItem is one resource and the actions asked about.
type CheckItem struct {
	Resource CheckResource `json:"resource"`
	Actions  []string      `json:"actions"`
}

// CheckResource describes a resource as far as the asker knows it.
type CheckResource struct {
	Kind  string          `json:"kind"`
	ID    string          `json:"id,omitempty"`
	OrgID string          `json:"org_id,omitempty"`
	Attr  json.RawMessage `json:"attr,omitempty"` // an object of attributes
}

// describe is the resource as far as it was told; its errors can be shown.
func (r CheckResource) describe() (authz.Resource, error) {
	var attr map[string]any
	if len(r.Attr) > 0 {
		if err := json.Unmarshal(r.Attr, &attr); err != nil {
			return authz.Resource{}, errors.New("must be an object")
		}
	}
	return authz.Describe(r.Kind, r.ID, r.orgID(), attr)
}

// orgID is the organisation in the one spelling that everything else uses; "" if it is none.
func (r CheckResource) orgID() string {
	id, err := uuid.FromString(r.OrgID)
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
	Actions       map[string]string `json:"actions"` // allow or deny
	DecisionID    string            `json:"decision_id"`
	PolicyVersion string            `json:"policy_version"`
	Reasons       []string          `json:"reasons"`
}

// CheckAccess says what the caller may do to each resource. It grants nothing: the endpoints decide
// again, on what they know themselves.
//
//encore:api auth method=POST path=/api/v1/authz/check
func (s *Service) CheckAccess(ctx context.Context, r *CheckRequest) (*CheckResponse, error) {
	asker, err := authz.Principal(ctx)
	if err != nil {
		return nil, err
	}
	acting, err := s.actingIn(ctx, asker.Caller)
	if err != nil {
		return nil, err
	}
	out := &CheckResponse{Results: make([]CheckResult, len(r.Checks))}
	as := map[*principal.Principal][]int{} // one call to the PDP a principal
	for i, item := range r.Checks {
		p := acting(item.Resource.orgID())
		as[p] = append(as[p], i)
	}
	for p, indexes := range as {
		questions := make([]authz.Question, len(indexes))
		for n, i := range indexes {
			resource, err := r.Checks[i].Resource.describe()
			if err != nil {
				return nil, err
			}
			questions[n] = authz.Question{Resource: resource, Actions: unique(r.Checks[i].Actions)}
		}
		decisions, err := authz.CheckAll(ctx, p, questions)
		if err != nil {
			return nil, err
		}
		for n, i := range indexes {
			out.Results[i] = resultOf(decisions[n])
		}
	}
	return out, nil
}

// actingIn is the caller as a principal of each organisation that they belong to. In any other they
// are nobody, exactly as in one that does not exist.
func (s *Service) actingIn(ctx context.Context, c *principal.Caller) (func(org string) *principal.Principal, error) {
	user, err := uuid.FromString(c.UserID)
	if err != nil {
		return nil, fault.Internal(err)
	}
	memberships, err := s.store.memberships(ctx, user)
	if err != nil {
		return nil, err
	}
	member := map[string]*principal.Principal{}
	for _, m := range memberships {
		if tenant := m.tenant(); !c.Narrowed(tenant.OrgID, tenant.Slug) {
			member[tenant.OrgID] = principal.New(c, tenant)
		}
	}
	nobody := principal.New(c, nil)
	return func(org string) *principal.Principal {
		if p, ok := member[org]; ok {
			return p
		}
		return nobody
	}, nil
}

func unique(actions []string) []string {
	out := slices.Clone(actions)
	slices.Sort(out)
	return slices.Compact(out)
}

func resultOf(decisions map[string]authz.Decision) CheckResult {
	out := CheckResult{Actions: map[string]string{}, Reasons: []string{}}
	for action, d := range decisions {
		out.DecisionID, out.PolicyVersion = d.ID, d.PolicyVersion
		if d.Allowed {
			out.Actions[action] = "allow"
			continue
		}
		out.Actions[action] = "deny"
		for _, reason := range d.Reasons {
			if !slices.Contains(out.Reasons, reason) {
				out.Reasons = append(out.Reasons, reason)
			}
		}
	}
	slices.Sort(out.Reasons)
	return out
}
