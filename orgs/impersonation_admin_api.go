package orgs

import (
	"context"

	"encore.app/identity"
	"encore.dev/types/uuid"
)

// Impersonate begins acting as a member of an organisation and tells the token, once. That they are a
// member is looked at on every use as well. The organisation sees it in its audit log and can end it.
// Without write the token reads only; in staging and production, with write as well, until a second
// administrator has approved.
//
// Platform administrators with a second factor may; never as themselves or as platform staff. Refuses
// with validation_failed, mfa_required, policy_denied, not_oneself (403) and not_found.
//
//encore:api auth method=POST path=/api/v1/admin/impersonations
func (s *Service) Impersonate(ctx context.Context, r *identity.ImpersonateRequest) (*identity.Impersonation, error) {
	return identity.BeginImpersonation(ctx, r, func(ctx context.Context, user, org uuid.UUID) (bool, error) {
		tenant, err := s.store.tenant(ctx, user, org)
		return tenant != nil, err
	})
}
