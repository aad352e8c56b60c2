package licensing

import (
	"context"
	"time"

	"encore.app/authz"
	"encore.dev/types/uuid"
)

// License is what an organisation may use.
type License struct {
	OrgID        uuid.UUID       `json:"org_id"`
	Tier         string          `json:"tier"` // free, pro, enterprise
	FeatureFlags map[string]bool `json:"feature_flags"`
	Seats        int             `json:"seats"`
	ValidUntil   *time.Time      `json:"valid_until"` // null: no end
	Source       string          `json:"source"`      // default, manual, stripe
	Version      int64           `json:"version"`
}

// GetLicense is the organisation's licence; one that bought nothing has the free one.
//
// Members may; what they are offered depends on it.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/license
func (s *Service) GetLicense(ctx context.Context, org_id uuid.UUID) (*License, error) {
	r := authz.Resource{Kind: "license", ID: org_id.String(), OrgID: org_id.String()}
	if _, err := authz.Check(ctx, "read", r); err != nil {
		return nil, err
	}
	l, err := s.store.of(ctx, org_id)
	if err != nil {
		return nil, err
	}
	if l.ValidUntil != nil {
		utc := l.ValidUntil.UTC()
		l.ValidUntil = &utc
	}
	return &License{
		OrgID:        l.OrgID,
		Tier:         l.Tier,
		FeatureFlags: l.Flags,
		Seats:        l.Seats,
		ValidUntil:   l.ValidUntil,
		Source:       l.Source,
		Version:      l.Version,
	}, nil
}
