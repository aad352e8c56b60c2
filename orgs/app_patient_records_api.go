package orgs

import (
	"context"

	"encore.dev/types/uuid"
)

// CreatePatientRecord adds a patient record, owned by the caller.
//
// The team that treats the patient and the clinician may, on the enterprise tier. Refuses with validation_failed,
// upgrade_required, mfa_required (restricted or personal data), quota_exceeded, org_suspended and policy_denied.
//
//encore:api auth method=POST path=/api/v1/app/orgs/:org_id/patient-records
func (s *Service) CreatePatientRecord(ctx context.Context, org_id uuid.UUID, r *CreatePatientRecordRequest) (*Resource, error) {
	return s.createResource(ctx, patientRecordKind, org_id, r.draft())
}

// ListPatientRecords lists exactly the patient records that the caller may read.
//
//encore:api auth method=GET path=/api/v1/app/orgs/:org_id/patient-records
func (s *Service) ListPatientRecords(ctx context.Context, org_id uuid.UUID, r *PageRequest) (*ListResourcesResponse, error) {
	return s.listResources(ctx, patientRecordKind, org_id, r)
}

// ReadPatientRecord is one patient record. One that the organisation does not have is not_found, whoever has it.
//
//encore:api auth method=GET path=/api/v1/app/orgs/:org_id/patient-records/:id
func (s *Service) ReadPatientRecord(ctx context.Context, org_id, id uuid.UUID) (*Resource, error) {
	return s.readResource(ctx, patientRecordKind, org_id, id)
}

// UpdatePatientRecord changes what the request names and leaves the rest.
//
// The clinician, and of its team the leads, the owner and administrators may, both as it is and as it becomes. Refuses as CreatePatientRecord does, and with
// not_found and version_conflict.
//
//encore:api auth method=PATCH path=/api/v1/app/orgs/:org_id/patient-records/:id
func (s *Service) UpdatePatientRecord(ctx context.Context, org_id, id uuid.UUID, r *UpdatePatientRecordRequest) (*Resource, error) {
	return s.updateResource(ctx, patientRecordKind, org_id, id, r.IfMatch, r.edit)
}

// DeletePatientRecord takes a patient record out of sight; it is erased with the organisation.
//
// The clinician, and of its team the leads, the owner and administrators may. Refuses with not_found, version_conflict, mfa_required, org_suspended and
// policy_denied.
//
//encore:api auth method=DELETE path=/api/v1/app/orgs/:org_id/patient-records/:id
func (s *Service) DeletePatientRecord(ctx context.Context, org_id, id uuid.UUID, r *VersionRequest) error {
	return s.deleteResource(ctx, patientRecordKind, org_id, id, r.IfMatch)
}
