package licensing

import (
	"context"

	"encore.app/authz"
	"encore.dev/types/uuid"
)

// EntitlementsResponse is what the organisation has and how much of it is used. A limit of -1 is none.
type EntitlementsResponse struct {
	Tier     string           `json:"tier" schema:"enum=free|pro|enterprise"` // free, pro, enterprise
	Features map[string]bool  `json:"features"`
	Limits   map[string]int64 `json:"limits"`
	Usage    map[string]int64 `json:"usage"` // in the limit's period that runs now
}

// GetEntitlements is what an application may offer: features, limits, and what is used of them.
//
// Members and guests may.
//
//encore:api auth method=GET path=/api/v1/app/orgs/:org_id/entitlements
func (s *Service) GetEntitlements(ctx context.Context, org_id uuid.UUID) (*EntitlementsResponse, error) {
	if _, err := authz.Check(ctx, "read", resource(org_id)); err != nil {
		return nil, err
	}
	has, err := s.store.entitlements(ctx, org_id)
	if err != nil {
		return nil, err
	}
	used, err := s.store.used(ctx, org_id)
	if err != nil {
		return nil, err
	}
	return &EntitlementsResponse{Tier: has.Tier, Features: has.Features, Limits: has.Limits, Usage: used}, nil
}
