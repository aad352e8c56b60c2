package authz

import (
	"context"

	"encore.app/policies"
)

// PoliciesResponse describes the policies in force.
type PoliciesResponse struct {
	Version  string    `json:"version"`
	Digest   string    `json:"digest"` // SHA-256 of the bundle that this build carries
	Policies []string  `json:"policies"`
	PDP      PDPStatus `json:"pdp"`
}

// PDPStatus is the state of the decision point.
type PDPStatus struct {
	Healthy bool   `json:"healthy"`
	Version string `json:"version"`
}

// ListPolicies names the policies in force and their digest.
//
// Platform administrators and auditors may.
//
//encore:api auth method=GET path=/api/v1/admin/policies
func (s *Service) ListPolicies(ctx context.Context) (*PoliciesResponse, error) {
	if _, err := Check(ctx, "list", Resource{Kind: "policy"}); err != nil {
		return nil, err
	}
	status := PDPStatus{}
	if version, err := s.pdp.Version(ctx); err == nil {
		status = PDPStatus{Healthy: true, Version: version}
	}
	return &PoliciesResponse{
		Version:  policies.Version,
		Digest:   policies.Digest(),
		Policies: policies.Names(),
		PDP:      status,
	}, nil
}
