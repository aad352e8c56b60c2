package orgs

import (
	"context"

	"encore.app/infra/platform/etag"
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

// RenameOrgRequest gives an organisation another name.
type RenameOrgRequest struct {
	IfMatch string `header:"If-Match"`
	Name    string `json:"name" schema:"text=200"`
}

// Validate checks the request.
func (r *RenameOrgRequest) Validate() error {
	var c fault.Checks
	etag.Check(&c, r.IfMatch)
	c.Text("name", r.Name, maxName)
	return c.Err()
}

// RenameOrg gives the caller's organisation another name.
//
// Its owners and administrators may. Refuses with validation_failed, version_conflict, org_suspended
// and policy_denied.
//
//encore:api auth method=PATCH path=/api/v1/org/:org_id
func (s *Service) RenameOrg(ctx context.Context, org_id uuid.UUID, r *RenameOrgRequest) (*Org, error) {
	return s.updateOrg(ctx, tenantdb.Org(org_id), org_id, r.IfMatch, &r.Name, nil)
}
