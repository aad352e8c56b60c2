package orgs

import (
	"time"

	"encore.dev/types/uuid"
)

// Org is an organisation.
type Org struct {
	ID           uuid.UUID       `json:"id"`
	Slug         string          `json:"slug"`
	Name         string          `json:"name"`
	Status       string          `json:"status"`       // active, suspended
	LicenseTier  string          `json:"license_tier"` // free, pro, enterprise
	FeatureFlags map[string]bool `json:"feature_flags"`
	Version      int64           `json:"version"`
	CreatedAt    time.Time       `json:"created_at"`
	HTTPStatus   int             `json:"-" encore:"httpstatus"`
}

func (o org) payload() *Org {
	flags := o.Flags
	if flags == nil {
		flags = map[string]bool{}
	}
	return &Org{
		ID:           o.ID,
		Slug:         o.Slug,
		Name:         o.Name,
		Status:       o.Status,
		LicenseTier:  o.Tier,
		FeatureFlags: flags,
		Version:      o.Version,
		CreatedAt:    o.CreatedAt.UTC(),
	}
}

// Project is a piece of work that an organisation owns.
type Project struct {
	ID          uuid.UUID  `json:"id"`
	OrgID       uuid.UUID  `json:"org_id"`
	TeamID      *uuid.UUID `json:"team_id"`
	OwnerID     uuid.UUID  `json:"owner_id"`
	Title       string     `json:"title"`
	Body        string     `json:"body"`
	Sensitivity string     `json:"sensitivity"` // public, internal, confidential, restricted
	PII         bool       `json:"pii"`
	Version     int64      `json:"version"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	HTTPStatus  int        `json:"-" encore:"httpstatus"`
}

func (p project) payload() Project {
	return Project{
		ID:          p.ID,
		OrgID:       p.OrgID,
		TeamID:      p.TeamID,
		OwnerID:     p.OwnerID,
		Title:       p.Title,
		Body:        p.Body,
		Sensitivity: p.Sensitivity,
		PII:         p.PII,
		Version:     p.Version,
		CreatedAt:   p.CreatedAt.UTC(),
		UpdatedAt:   p.UpdatedAt.UTC(),
	}
}
