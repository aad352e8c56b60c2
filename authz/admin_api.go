package authz

import (
	"context"

	"encore.app/infra/platform/fault"
	"encore.app/policies"
)

// PoliciesResponse describes the policies in force.
type PoliciesResponse struct {
	Version string `json:"version"`
	// Digest is the SHA-256 of the bundle that the PDP serves, with "@" and a time after it where its
	// files were changed since; BuildDigest is that of the bundle which this build was made with.
	Digest      string    `json:"digest"`
	BuildDigest string    `json:"build_digest"`
	Policies    []string  `json:"policies"`
	PDP         PDPStatus `json:"pdp"`
}

// PDPStatus is the state of the decision point.
type PDPStatus struct {
	Healthy bool   `json:"healthy"`
	Version string `json:"version"`
	// Detail says what is wrong with a PDP that answers, such as policies on its disk that do not load.
	Detail string `json:"detail,omitempty"`
}

// ListPolicies names the policies in force and their digest.
//
// Platform staff may. Refuses with wrong_audience and policy_denied.
//
//encore:api auth method=GET path=/api/v1/admin/policies
func (s *Service) ListPolicies(ctx context.Context) (*PoliciesResponse, error) {
	if _, err := Check(ctx, "list", Resource{Kind: "policy"}); err != nil {
		return nil, err
	}
	status := PDPStatus{Detail: Degraded()}
	if version, err := s.with.client.Version(ctx); err == nil {
		status.Healthy, status.Version = true, version
	}
	return &PoliciesResponse{
		Version:     policies.Version,
		Digest:      s.with.serving.Digest(),
		BuildDigest: policies.Digest(),
		Policies:    policies.Names(),
		PDP:         status,
	}, nil
}

// maxDecisionID is more than any id of a decision is long.
const maxDecisionID = 100

// ExplainResponse is what is kept of a decision.
type ExplainResponse struct {
	DecisionID string `json:"decision_id"`
	// Items are the answers of one call to the PDP that the audit log refers to; usually one.
	Items []Explanation `json:"items"`
}

// ExplainDecision says what was asked and why it was answered so, for a decision that an event of
// the audit log names. It is there as long as the event.
//
// Platform staff may. Refuses with wrong_audience, policy_denied and not_found.
//
//encore:api auth method=GET path=/api/v1/admin/decisions/:decision_id
func (s *Service) ExplainDecision(ctx context.Context, decision_id string) (*ExplainResponse, error) {
	if _, err := Check(ctx, "read", Resource{Kind: "policy", ID: decision_id}); err != nil {
		return nil, err
	}
	if len(decision_id) > maxDecisionID {
		return nil, fault.NotFound("decision")
	}
	items, err := explain(ctx, s.with.db, decision_id)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, fault.NotFound("decision")
	}
	return &ExplainResponse{DecisionID: decision_id, Items: items}, nil
}
