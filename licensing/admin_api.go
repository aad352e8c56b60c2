package licensing

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"time"

	"encore.app/authz"
	"encore.app/infra/platform/etag"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/catalogue"
	"encore.app/orgs"
	"encore.dev/types/uuid"
)

const maxFlags = 100

var flagPattern = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,62}$`)

// existing refuses with not_found where there is no such organisation.
func (s store) existing(ctx context.Context, org uuid.UUID) error {
	_, ok, err := orgs.UsageOf(ctx, s.db, org)
	if err == nil && !ok {
		err = fault.NotFound("organisation")
	}
	return err
}

// ReadLicense is an organisation's licence, for platform staff.
//
//encore:api auth method=GET path=/api/v1/admin/orgs/:org_id/license
func (s *Service) ReadLicense(ctx context.Context, org_id uuid.UUID) (*License, error) {
	if _, err := authz.Check(ctx, "read", resource(org_id)); err != nil {
		return nil, err
	}
	if err := s.store.existing(ctx, org_id); err != nil {
		return nil, err
	}
	l, err := s.store.of(ctx, tenantdb.Platform(), org_id)
	if err != nil {
		return nil, err
	}
	return s.store.payload(l), nil
}

// PutLicenseRequest is a whole licence: what it leaves out, the organisation does not have.
type PutLicenseRequest struct {
	IfMatch      string           `header:"If-Match"`
	Tier         string           `json:"tier" schema:"enum=free|pro|enterprise"` // free, pro, enterprise
	FeatureFlags map[string]bool  `json:"feature_flags,omitempty" schema:"maxProperties=100"`
	Seats        int              `json:"seats" schema:"minimum=1;maximum=1000000"`
	Limits       map[string]int64 `json:"limits,omitempty" schema:"values.minimum=-1;values.maximum=1000000000000"` // beside the tier's; -1 is none
	ValidUntil   *time.Time       `json:"valid_until,omitempty"`                                                    // none: no end
}

// Validate checks the request.
func (r *PutLicenseRequest) Validate() error {
	var c fault.Checks
	etag.Check(&c, r.IfMatch)
	c.OneOf("tier", r.Tier, "free", "pro", "enterprise")
	if r.Seats < 1 || r.Seats > catalogue.MaxSeats {
		c.Add("seats", "must be from 1 to %d", catalogue.MaxSeats)
	}
	if len(r.FeatureFlags) > maxFlags {
		c.Add("feature_flags", "are more than %d", maxFlags)
	}
	for name := range r.FeatureFlags {
		if !flagPattern.MatchString(name) {
			c.Add("feature_flags", "must be named with a-z, 0-9, _, . and -")
			break
		}
	}
	checkLimits(&c, r.Limits)
	if r.ValidUntil != nil && (r.ValidUntil.Year() < 2000 || r.ValidUntil.Year() > 9999) {
		c.Add("valid_until", "must be between the years 2000 and 9999")
	}
	return c.Err()
}

// checkLimits wants limits that are sold. Seats have a field of their own.
func checkLimits(c *fault.Checks, limits map[string]int64) {
	sold, err := catalogue.Load()
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		if err != nil || name == catalogue.Seats || !sold.Has(name) {
			c.Add("limits."+name, "is none of the limits that are sold beside seats")
		} else if !catalogue.ValidLimit(limits[name]) {
			c.Add("limits."+name, "must be from -1, which is no limit, to %d", catalogue.MaxLimit)
		}
	}
}

// PutLicense grants a licence by hand. It counts from the next request on, everywhere, and Stripe has
// no say until it is deleted. The same again changes nothing. Seats below the members there are
// remove nobody: they only keep others from joining.
//
// Platform administrators may, with a second factor. Refuses with validation_failed, mfa_required,
// version_conflict, not_found and policy_denied.
//
//encore:api auth method=PUT path=/api/v1/admin/orgs/:org_id/license
func (s *Service) PutLicense(ctx context.Context, org_id uuid.UUID, r *PutLicenseRequest) (*License, error) {
	d, err := authz.Check(ctx, "update", resource(org_id))
	if err != nil {
		return nil, err
	}
	if err := s.store.existing(ctx, org_id); err != nil {
		return nil, err
	}
	want := license{OrgID: org_id, Tier: r.Tier, Flags: r.FeatureFlags, Seats: r.Seats, Limits: r.Limits, Source: sourceManual}
	if r.ValidUntil != nil {
		until := r.ValidUntil.UTC().Truncate(time.Microsecond) // as the database keeps it
		want.ValidUntil = &until
	}
	l, err := s.store.grant(ctx, want, etag.Wants(r.IfMatch), d)
	if err != nil {
		return nil, err
	}
	return s.store.payload(l), nil
}

// DeleteLicense takes back a licence that was granted by hand. What the organisation pays for at
// Stripe counts again, or else it has the free tier. A licence that was not granted by hand stays.
//
// Platform administrators may, with a second factor. Refuses with mfa_required, not_found and policy_denied.
//
//encore:api auth method=DELETE path=/api/v1/admin/orgs/:org_id/license
func (s *Service) DeleteLicense(ctx context.Context, org_id uuid.UUID) (*License, error) {
	d, err := authz.Check(ctx, "update", resource(org_id))
	if err != nil {
		return nil, err
	}
	if err := s.store.existing(ctx, org_id); err != nil {
		return nil, err
	}
	l, err := s.store.revoke(ctx, org_id, d)
	if err != nil {
		return nil, err
	}
	return s.store.payload(l), nil
}
