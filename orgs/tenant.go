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

// Exists is an organisation as platform staff act in it: without roles. nil if there is none.
func Exists(ctx context.Context, org uuid.UUID) (*principal.Tenant, error) {
	o, ok, err := open().org(ctx, platform, org)
	if err != nil || !ok {
		return nil, err
	}
	return &principal.Tenant{OrgID: o.ID.String(), Slug: o.Slug, Status: o.Status, Tier: o.Tier, Flags: o.enabledFlags()}, nil
}
