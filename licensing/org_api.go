package licensing

import (
	"context"
	"fmt"
	"time"

	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// GetLicense is the organisation's licence; one that bought nothing has the free one.
//
// Members may; what they are offered depends on it.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/license
func (s *Service) GetLicense(ctx context.Context, org_id uuid.UUID) (*License, error) {
	if _, err := authz.Check(ctx, "read", resource(org_id)); err != nil {
		return nil, err
	}
	l, err := s.store.of(ctx, tenantdb.Org(org_id), org_id)
	if err != nil {
		return nil, err
	}
	return s.store.payload(l), nil
}

// GetUsageRequest asks for a page of past periods.
type GetUsageRequest struct {
	Name   string             `query:"name" schema:"plain=63"` // of a limit; "" is all
	Limit  option.Option[int] `query:"limit"`
	Cursor string             `query:"cursor"`
}

// Validate checks the request.
func (r *GetUsageRequest) Validate() error {
	_, _, err := r.page()
	return err
}

// usageKey sorts periods.
type usageKey struct {
	Bucket time.Time `json:"b"`
	Name   string    `json:"n"`
}

// endOfTime is later than any period.
var endOfTime = usageKey{Bucket: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)}

func (r *GetUsageRequest) page() (before usageKey, limit int, err error) {
	var c fault.Checks
	before = endOfTime
	c.Filter("name", r.Name, 63)
	limit = page.Limit(&c, r.Limit)
	page.Parse(&c, r.Cursor, &before)
	return before, limit, c.Err()
}

// UsagePeriod is what was used of one limit in one of its periods.
type UsagePeriod struct {
	Name     string     `json:"name"`
	Since    *time.Time `json:"since"` // null: the limit has no periods
	Used     int64      `json:"used"`
	Reserved int64      `json:"reserved"`
}

// GetUsageResponse is what is used now, of how much, and a page of periods, newest first.
type GetUsageResponse struct {
	Usage      map[string]int64 `json:"usage"`
	Limits     map[string]int64 `json:"limits"` // -1 is none
	Items      []UsagePeriod    `json:"items"`
	NextCursor string           `json:"next_cursor"`
}

// GetUsage is how much of its limits the organisation has used.
//
// Members may. Refuses with validation_failed and policy_denied.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/usage
func (s *Service) GetUsage(ctx context.Context, org_id uuid.UUID, r *GetUsageRequest) (*GetUsageResponse, error) {
	if _, err := authz.Check(ctx, "read", resource(org_id)); err != nil {
		return nil, err
	}
	before, limit, err := r.page()
	if err != nil {
		return nil, err
	}
	has, err := s.store.entitlements(ctx, org_id)
	if err != nil {
		return nil, err
	}
	used, err := s.store.used(ctx, org_id)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.periods(ctx, org_id, r.Name, before, limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := page.Cut(rows, limit, func(p period) any { return usageKey{p.Bucket, p.Name} })
	out := &GetUsageResponse{Usage: used, Limits: has.Limits, Items: make([]UsagePeriod, len(rows)), NextCursor: next}
	for i, p := range rows {
		out.Items[i] = UsagePeriod{Name: p.Name, Used: p.Used, Reserved: p.Reserved}
		if since := p.Bucket.UTC(); !since.IsZero() {
			out.Items[i].Since = &since
		}
	}
	return out, nil
}

// period is a row of licensing.usage.
type period struct {
	Name     string
	Bucket   time.Time
	Used     int64
	Reserved int64
}

func (s store) periods(ctx context.Context, org uuid.UUID, name string, before usageKey, limit int) ([]period, error) {
	items, err := tenantdb.Rows(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[period], `
select name, bucket, used, reserved from licensing.usage
 where org_id = $1 and ($2 = '' or name = $2) and (bucket, name) < ($3, $4)
 order by bucket desc, name desc limit $5`, org, name, before.Bucket, before.Name, limit)
	if err != nil {
		return nil, fmt.Errorf("licensing: periods: %w", err)
	}
	return items, nil
}
