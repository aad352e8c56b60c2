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
