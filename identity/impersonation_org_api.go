package identity

import (
	"context"

	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
)

// ListOrgImpersonations lists who of the platform's staff acted as whom in the organisation.
//
// Owners and administrators of the organisation may. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/impersonations
func (s *Service) ListOrgImpersonations(ctx context.Context, org_id uuid.UUID, r *ListImpersonationsRequest) (*ListImpersonationsResponse, error) {
	return s.listImpersonations(ctx, tenantdb.Org(org_id), org_id, r)
}

// EndOrgImpersonation ends an impersonation in the organisation before its time.
//
// Owners and administrators of the organisation may. Refuses with policy_denied, org_suspended and
// not_found (also when it is over).
//
//encore:api auth method=DELETE path=/api/v1/org/:org_id/impersonations/:id
func (s *Service) EndOrgImpersonation(ctx context.Context, org_id, id uuid.UUID) error {
	return s.endImpersonation(ctx, tenantdb.Org(org_id), org_id, id)
}
