package orgs

import (
	"bytes"
	"encoding/json"
	"slices"

	"encore.app/infra/platform/etag"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
)

const (
	maxTitle = 200
	maxBody  = 64 << 10
)

var sensitivities = []string{"public", "internal", "confidential", "restricted"}

// PageRequest asks for a page of a list.
type PageRequest struct {
	Limit  option.Option[int] `query:"limit"`
	Cursor string             `query:"cursor"`
}

// Validate checks the request.
func (r *PageRequest) Validate() error {
	_, _, err := page.ByID(r.Cursor, r.Limit)
	return err
}

// VersionRequest names the version that a deletion is about.
type VersionRequest struct {
	IfMatch string `header:"If-Match"` // an ETag; without it any version will do
}

// Validate checks the request.
func (r *VersionRequest) Validate() error {
	var c fault.Checks
	etag.Check(&c, r.IfMatch)
	return c.Err()
}

// CreateResourceRequest describes a new project or document.
type CreateResourceRequest struct {
	Title       string     `json:"title" schema:"text=200"`
	Body        string     `json:"body,omitempty" schema:"plain=65536"`
	TeamID      *uuid.UUID `json:"team_id,omitempty"`
	Sensitivity string     `json:"sensitivity" schema:"enum=public|internal|confidential|restricted"` // public, internal, confidential, restricted
	PII         *bool      `json:"pii" schema:"required"`                                             // holds personal data; required, so that nobody forgets to say
}

// Validate checks the request.
func (r *CreateResourceRequest) Validate() error {
	var c fault.Checks
	r.check(&c)
	return c.Err()
}

func (r *CreateResourceRequest) check(c *fault.Checks) {
	c.Text("title", r.Title, maxTitle)
	if r.Body != "" {
		c.Text("body", r.Body, maxBody)
	}
	c.OneOf("sensitivity", r.Sensitivity, sensitivities...)
	if r.PII == nil {
		c.Add("pii", "is required")
	}
}

func (r *CreateResourceRequest) draft() resource {
	return resource{Title: r.Title, Body: r.Body, TeamID: r.TeamID, Sensitivity: r.Sensitivity, PII: *r.PII}
}

// CreatePatientRecordRequest describes a new patient record.
type CreatePatientRecordRequest struct {
	Title       string     `json:"title" schema:"text=200"`
	Body        string     `json:"body,omitempty" schema:"plain=65536"`
	TeamID      *uuid.UUID `json:"team_id,omitempty"`
	Sensitivity string     `json:"sensitivity" schema:"enum=public|internal|confidential|restricted"` // public, internal, confidential, restricted
	PII         *bool      `json:"pii" schema:"required"`
	PatientRef  string     `json:"patient_ref" schema:"text=200"`  // how the organisation calls the patient
	ClinicianID *uuid.UUID `json:"clinician_id" schema:"required"` // the user who treats the patient
}

func (r *CreatePatientRecordRequest) plain() *CreateResourceRequest {
	return &CreateResourceRequest{Title: r.Title, Body: r.Body, TeamID: r.TeamID, Sensitivity: r.Sensitivity, PII: r.PII}
}

// Validate checks the request.
func (r *CreatePatientRecordRequest) Validate() error {
	var c fault.Checks
	r.plain().check(&c)
	c.Text("patient_ref", r.PatientRef, maxTitle)
	if r.ClinicianID == nil {
		c.Add("clinician_id", "is required")
	}
	return c.Err()
}

func (r *CreatePatientRecordRequest) draft() resource {
	out := r.plain().draft()
	out.PatientRef, out.ClinicianID = r.PatientRef, r.ClinicianID
	return out
}

// UpdateResourceRequest changes what it names of a project or document and leaves the rest.
type UpdateResourceRequest struct {
	IfMatch     string   `header:"If-Match"`
	Title       *string  `json:"title,omitempty" schema:"text=200"`
	Body        *string  `json:"body,omitempty" schema:"plain=65536"`
	TeamID      Nullable `json:"team_id,omitempty" schema:"type=string|null;format=uuid"` // a UUID, or null for no team
	Sensitivity *string  `json:"sensitivity,omitempty" schema:"enum=public|internal|confidential|restricted"`
	PII         *bool    `json:"pii,omitempty"`
}

// Validate checks the request.
func (r *UpdateResourceRequest) Validate() error {
	var c fault.Checks
	etag.Check(&c, r.IfMatch)
	if !r.check(&c) && len(c) == 0 {
		c.Add("body", "changes nothing")
	}
	return c.Err()
}

// check reports whether the request names anything.
func (r *UpdateResourceRequest) check(c *fault.Checks) (any bool) {
	if r.Title != nil {
		c.Text("title", *r.Title, maxTitle)
	}
	if r.Body != nil && *r.Body != "" {
		c.Text("body", *r.Body, maxBody)
	}
	if _, err := teamOf(r.TeamID); err != nil {
		c.Add("team_id", "must be a UUID or null")
	}
	if r.Sensitivity != nil {
		c.OneOf("sensitivity", *r.Sensitivity, sensitivities...)
	}
	return r.Title != nil || r.Body != nil || r.TeamID != nil || r.Sensitivity != nil || r.PII != nil
}

// Nullable is a JSON value that tells null from nothing. A json.RawMessage does not everywhere: Encore's
// decoder leaves it empty for both.
type Nullable json.RawMessage

// UnmarshalJSON keeps text as it is.
func (n *Nullable) UnmarshalJSON(text []byte) error {
	*n = slices.Clone(text)
	return nil
}

// MarshalJSON gives it back.
func (n Nullable) MarshalJSON() ([]byte, error) {
	if len(n) == 0 {
		return []byte("null"), nil
	}
	return n, nil
}

// teamOf tells null, which is no team, from a team.
func teamOf(raw Nullable) (team *uuid.UUID, err error) {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	return team, json.Unmarshal(raw, &team)
}

// edit is r with what the request names.
func (u *UpdateResourceRequest) edit(r resource) resource {
	set(&r.Title, u.Title)
	set(&r.Body, u.Body)
	set(&r.Sensitivity, u.Sensitivity)
	set(&r.PII, u.PII)
	if u.TeamID != nil {
		r.TeamID, _ = teamOf(u.TeamID) // Validate has read it
	}
	return r
}

// set is for partial updates: what is not there stays.
func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// UpdatePatientRecordRequest changes what it names of a patient record and leaves the rest.
type UpdatePatientRecordRequest struct {
	IfMatch     string     `header:"If-Match"`
	Title       *string    `json:"title,omitempty" schema:"text=200"`
	Body        *string    `json:"body,omitempty" schema:"plain=65536"`
	TeamID      Nullable   `json:"team_id,omitempty" schema:"type=string|null;format=uuid"` // a UUID, or null for no team
	Sensitivity *string    `json:"sensitivity,omitempty" schema:"enum=public|internal|confidential|restricted"`
	PII         *bool      `json:"pii,omitempty"`
	PatientRef  *string    `json:"patient_ref,omitempty" schema:"text=200"`
	ClinicianID *uuid.UUID `json:"clinician_id,omitempty"`
}

func (r *UpdatePatientRecordRequest) plain() *UpdateResourceRequest {
	return &UpdateResourceRequest{
		IfMatch: r.IfMatch, Title: r.Title, Body: r.Body, TeamID: r.TeamID, Sensitivity: r.Sensitivity, PII: r.PII,
	}
}

// Validate checks the request.
func (r *UpdatePatientRecordRequest) Validate() error {
	var c fault.Checks
	etag.Check(&c, r.IfMatch)
	any := r.plain().check(&c)
	if r.PatientRef != nil {
		c.Text("patient_ref", *r.PatientRef, maxTitle)
	}
	if !any && r.PatientRef == nil && r.ClinicianID == nil && len(c) == 0 {
		c.Add("body", "changes nothing")
	}
	return c.Err()
}

func (u *UpdatePatientRecordRequest) edit(r resource) resource {
	r = u.plain().edit(r)
	set(&r.PatientRef, u.PatientRef)
	if u.ClinicianID != nil {
		r.ClinicianID = u.ClinicianID
	}
	return r
}
