package orgs

import (
	"context"

	"encore.dev/types/uuid"
)

// CreateProject adds a project, owned by the caller.
//
// Members may, and in a team its members. Refuses with validation_failed, mfa_required (restricted or personal data), quota_exceeded,
// org_suspended and policy_denied.
//
//encore:api auth method=POST path=/api/v1/app/orgs/:org_id/projects
func (s *Service) CreateProject(ctx context.Context, org_id uuid.UUID, r *CreateResourceRequest) (*Resource, error) {
	return s.createResource(ctx, projectKind, org_id, r.draft())
}

// ListProjects lists exactly the projects that the caller may read.
//
//encore:api auth method=GET path=/api/v1/app/orgs/:org_id/projects
func (s *Service) ListProjects(ctx context.Context, org_id uuid.UUID, r *PageRequest) (*ListResourcesResponse, error) {
	return s.listResources(ctx, projectKind, org_id, r)
}

// ReadProject is one project. One that the organisation does not have is not_found, whoever has it.
//
//encore:api auth method=GET path=/api/v1/app/orgs/:org_id/projects/:id
func (s *Service) ReadProject(ctx context.Context, org_id, id uuid.UUID) (*Resource, error) {
	return s.readResource(ctx, projectKind, org_id, id)
}

// UpdateProject changes what the request names and leaves the rest.
//
// Its owner, the leads of its team and administrators may, both as it is and as it becomes. Refuses as CreateProject does, and with
// not_found and version_conflict.
//
//encore:api auth method=PATCH path=/api/v1/app/orgs/:org_id/projects/:id
func (s *Service) UpdateProject(ctx context.Context, org_id, id uuid.UUID, r *UpdateResourceRequest) (*Resource, error) {
	return s.updateResource(ctx, projectKind, org_id, id, r.IfMatch, r.edit)
}

// DeleteProject takes a project out of sight; it is erased with the organisation.
//
// Its owner, the leads of its team and administrators may. Refuses with not_found, version_conflict, mfa_required, org_suspended and
// policy_denied.
//
//encore:api auth method=DELETE path=/api/v1/app/orgs/:org_id/projects/:id
func (s *Service) DeleteProject(ctx context.Context, org_id, id uuid.UUID, r *VersionRequest) error {
	return s.deleteResource(ctx, projectKind, org_id, id, r.IfMatch)
}
