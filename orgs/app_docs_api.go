package orgs

import (
	"context"

	"encore.dev/types/uuid"
)

// CreateDoc adds a document, owned by the caller.
//
// Members may, and in a team its members. Refuses with validation_failed, mfa_required (restricted or personal data), quota_exceeded,
// org_suspended and policy_denied.
//
//encore:api auth method=POST path=/api/v1/app/orgs/:org_id/docs
func (s *Service) CreateDoc(ctx context.Context, org_id uuid.UUID, r *CreateResourceRequest) (*Resource, error) {
	return s.createResource(ctx, docKind, org_id, r.draft())
}

// ListDocs lists exactly the documents that the caller may read.
//
//encore:api auth method=GET path=/api/v1/app/orgs/:org_id/docs
func (s *Service) ListDocs(ctx context.Context, org_id uuid.UUID, r *PageRequest) (*ListResourcesResponse, error) {
	return s.listResources(ctx, docKind, org_id, r)
}

// ReadDoc is one document. One that the organisation does not have is not_found, whoever has it.
//
//encore:api auth method=GET path=/api/v1/app/orgs/:org_id/docs/:id
func (s *Service) ReadDoc(ctx context.Context, org_id, id uuid.UUID) (*Resource, error) {
	return s.readResource(ctx, docKind, org_id, id)
}

// UpdateDoc changes what the request names and leaves the rest.
//
// Its owner, the leads of its team and administrators may, both as it is and as it becomes. Refuses as CreateDoc does, and with
// not_found and version_conflict.
//
//encore:api auth method=PATCH path=/api/v1/app/orgs/:org_id/docs/:id
func (s *Service) UpdateDoc(ctx context.Context, org_id, id uuid.UUID, r *UpdateResourceRequest) (*Resource, error) {
	return s.updateResource(ctx, docKind, org_id, id, r.IfMatch, r.edit)
}

// DeleteDoc takes a document out of sight; it is erased with the organisation.
//
// Its owner, the leads of its team and administrators may. Refuses with not_found, version_conflict, mfa_required, org_suspended and
// policy_denied.
//
//encore:api auth method=DELETE path=/api/v1/app/orgs/:org_id/docs/:id
func (s *Service) DeleteDoc(ctx context.Context, org_id, id uuid.UUID, r *VersionRequest) error {
	return s.deleteResource(ctx, docKind, org_id, id, r.IfMatch)
}
