package orgs

import (
	"time"

	"encore.app/infra/platform/etag"
	"encore.dev/types/uuid"
)

// Resource is a project, a document or a patient record: something that an organisation owns.
type Resource struct {
	ID          uuid.UUID  `json:"id"`
	OrgID       uuid.UUID  `json:"org_id"`
	TeamID      *uuid.UUID `json:"team_id"`
	OwnerID     uuid.UUID  `json:"owner_id"`
	Title       string     `json:"title"`
	Body        string     `json:"body"`
	Sensitivity string     `json:"sensitivity" schema:"enum=public|internal|confidential|restricted"` // public, internal, confidential, restricted
	PII         bool       `json:"pii"`
	PatientRef  string     `json:"patient_ref,omitempty"`  // of a patient record
	ClinicianID *uuid.UUID `json:"clinician_id,omitempty"` // of a patient record
	Version     int64      `json:"version"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	ETag        string     `json:"etag,omitempty" header:"ETag"` // for If-Match; not in lists
	HTTPStatus  int        `json:"-" encore:"httpstatus"`
}

func (r resource) payload() Resource {
	return Resource{
		ID:          r.ID,
		OrgID:       r.OrgID,
		TeamID:      r.TeamID,
		OwnerID:     r.OwnerID,
		Title:       r.Title,
		Body:        r.Body,
		Sensitivity: r.Sensitivity,
		PII:         r.PII,
		PatientRef:  r.PatientRef,
		ClinicianID: r.ClinicianID,
		Version:     r.Version,
		CreatedAt:   r.CreatedAt.UTC(),
		UpdatedAt:   r.UpdatedAt.UTC(),
	}
}

// answer is the answer about one resource.
func (r resource) answer(status int) *Resource {
	out := r.payload()
	out.ETag, out.HTTPStatus = etag.Of(r.Version), status
	return &out
}

// ListResourcesResponse is one page, oldest first.
type ListResourcesResponse struct {
	Items      []Resource `json:"items"`
	NextCursor string     `json:"next_cursor"`
}
