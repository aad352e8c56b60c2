package orgs

import (
	"context"

	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
)

// GetOrg is the organisation that the caller administers.
//
//encore:api auth method=GET path=/api/v1/org/:org_id
func (s *Service) GetOrg(ctx context.Context, org_id uuid.UUID) (*Org, error) {
	return s.read(ctx, tenantdb.Org(org_id), org_id)
}

func (s *Service) read(ctx context.Context, scope tenantdb.Scope, id uuid.UUID) (*Org, error) {
	r := authz.Resource{Kind: "org", ID: id.String(), OrgID: id.String()}
	if _, err := authz.Check(ctx, "read", r); err != nil {
		return nil, err
	}
	o, ok, err := s.store.org(ctx, scope, id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.NotFound("organisation")
	}
	return o.payload(), nil
}
