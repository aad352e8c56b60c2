package orgs

import (
	"time"

	"encore.app/infra/platform/etag"
	"encore.dev/types/uuid"
)

// Org is an organisation.
type Org struct {
	ID           uuid.UUID       `json:"id"`
	Slug         string          `json:"slug"`
	Name         string          `json:"name"`
	Status       string          `json:"status" schema:"enum=active|suspended"`          // active, suspended
	LicenseTier  string          `json:"license_tier" schema:"enum=free|pro|enterprise"` // free, pro, enterprise
	FeatureFlags map[string]bool `json:"feature_flags"`
	Version      int64           `json:"version"`
	CreatedAt    time.Time       `json:"created_at"`
	ETag         string          `json:"etag,omitempty" header:"ETag"` // for If-Match; not in lists
	HTTPStatus   int             `json:"-" encore:"httpstatus"`
}

// answer is the answer about one organisation.
func (o org) answer(status int) *Org {
	out := o.payload()
	out.ETag, out.HTTPStatus = etag.Of(o.Version), status
	return out
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
