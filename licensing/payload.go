package licensing

import (
	"time"

	"encore.app/authz"
	"encore.app/infra/platform/etag"
	"encore.dev/types/uuid"
)

// License is what an organisation may use, as of now.
type License struct {
	OrgID        uuid.UUID        `json:"org_id"`
	Tier         string           `json:"tier" schema:"enum=free|pro|enterprise"` // free, pro, enterprise
	FeatureFlags map[string]bool  `json:"feature_flags"`
	Seats        int              `json:"seats"`
	Limits       map[string]int64 `json:"limits"`                                     // granted beside the tier's; -1 is none
	ValidUntil   *time.Time       `json:"valid_until"`                                // null: no end
	Status       string           `json:"status" schema:"enum=active|grace|expired"`  // active, grace (past its end), expired (the free tier counts)
	Source       string           `json:"source" schema:"enum=default|manual|stripe"` // default, manual, stripe
	Version      int64            `json:"version"`
	ETag         string           `header:"ETag"`
}

func (s store) payload(l license) *License {
	state, _ := s.state(l, s.now())
	w := s.worth(l, s.now())
	if w.ValidUntil != nil {
		utc := w.ValidUntil.UTC()
		w.ValidUntil = &utc
	}
	return &License{
		OrgID: w.OrgID, Tier: w.Tier, FeatureFlags: w.Flags, Seats: w.Seats, Limits: w.Limits, ValidUntil: w.ValidUntil,
		Status: state, Source: w.Source, Version: w.Version, ETag: etag.Of(w.Version),
	}
}

// resource is an organisation's licence as policies see it.
func resource(org uuid.UUID) authz.Resource {
	return authz.Resource{Kind: "license", ID: org.String(), OrgID: org.String()}
}
