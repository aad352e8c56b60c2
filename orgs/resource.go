package orgs

import (
	"time"

	"encore.app/authz"
	"encore.app/authz/filter"
	"encore.dev/types/uuid"
)

// kind is one kind of resource. They differ in their names and in the columns that only patient
// records have; everything that is done to them is written once.
type kind struct {
	name     string // in policies and in the audit log
	noun     string // in sentences
	table    string // in schema orgs
	clinical bool   // names a patient and a clinician
}

var (
	projectKind       = kind{name: "project", noun: "project", table: "projects"}
	docKind           = kind{name: "doc", noun: "document", table: "docs"}
	patientRecordKind = kind{name: "patient_record", noun: "patient record", table: "patient_records", clinical: true}
)

// kinds are all kinds of resource.
var kinds = []kind{projectKind, docKind, patientRecordKind}

// resource is a row of any kind's table.
type resource struct {
	ID          uuid.UUID
	OrgID       uuid.UUID
	TeamID      *uuid.UUID
	OwnerID     uuid.UUID
	Title       string
	Body        string
	Sensitivity string
	PII         bool
	Version     int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
	PatientRef  string     // "" unless clinical
	ClinicianID *uuid.UUID // nil unless clinical
}

// attributes is the resource as policies see it.
func (r resource) attributes(k kind) authz.Resource {
	out := authz.Resource{
		Kind:        k.name,
		ID:          r.ID.String(),
		OrgID:       r.OrgID.String(),
		OwnerID:     r.OwnerID.String(),
		Sensitivity: r.Sensitivity,
		PII:         r.PII,
	}
	if r.TeamID != nil {
		out.TeamID = r.TeamID.String()
	}
	out.Extra = k.extra()
	if k.clinical && r.ClinicianID != nil {
		out.Extra["clinician_id"] = r.ClinicianID.String()
	}
	return out
}

// extra are the attributes that only this kind has, empty.
func (k kind) extra() map[string]any {
	if k.clinical {
		return map[string]any{"clinician_id": ""}
	}
	return nil
}

// columns says where the policies' attributes of a kind are found in a query that calls its table r.
func (k kind) columns() map[string]filter.Column {
	if k.clinical {
		return clinicalColumns
	}
	return plainColumns
}

var (
	plainColumns    = filterColumns(false)
	clinicalColumns = filterColumns(true)
)

func filterColumns(clinical bool) map[string]filter.Column {
	out := map[string]filter.Column{
		filter.ResourceID: {SQL: "r.id", Type: filter.UUID},
		"org_id":          {SQL: "r.org_id", Type: filter.UUID},
		"team_id":         {SQL: "r.team_id", Type: filter.UUID, Null: filter.NullIsZero},
		"owner_id":        {SQL: "r.owner_id", Type: filter.UUID},
		"sensitivity":     {SQL: "r.sensitivity", Type: filter.Text},
		"pii":             {SQL: "r.pii", Type: filter.Bool},
	}
	if clinical {
		out["clinician_id"] = filter.Column{SQL: "r.clinician_id", Type: filter.UUID}
	}
	return out
}

// changes are what an update made different, without what people wrote: for the audit log.
func (r resource) changes(from resource) map[string]any {
	out := map[string]any{}
	note := func(name string, same bool, before, after any) {
		if !same {
			out[name] = fromTo(before, after)
		}
	}
	note("team_id", sameID(r.TeamID, from.TeamID), from.TeamID, r.TeamID)
	note("sensitivity", r.Sensitivity == from.Sensitivity, from.Sensitivity, r.Sensitivity)
	note("pii", r.PII == from.PII, from.PII, r.PII)
	note("clinician_id", sameID(r.ClinicianID, from.ClinicianID), from.ClinicianID, r.ClinicianID)
	fields := []string{}
	for _, f := range []struct{ name, before, after string }{
		{"title", from.Title, r.Title}, {"body", from.Body, r.Body}, {"patient_ref", from.PatientRef, r.PatientRef},
	} {
		if f.before != f.after {
			fields = append(fields, f.name)
		}
	}
	if len(fields) > 0 {
		out["fields"] = fields
	}
	return out
}

func sameID(a, b *uuid.UUID) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
