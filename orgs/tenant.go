package orgs

import (
	"context"

	"encore.app/authz/principal"
	"encore.dev/types/uuid"
)

// Resolve is what a user is in an organisation; nil if they do not belong to it or it does not
// exist, which nobody outside can tell apart.
func Resolve(ctx context.Context, user, org uuid.UUID) (*principal.Tenant, error) {
	return open().tenant(ctx, user, org)
}
