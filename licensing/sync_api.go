package licensing

import (
	"context"
	"time"

	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/stripesync"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// operations is the platform as a whole, as policies see it.
var operations = authz.Resource{Kind: "platform", ID: "billing"}

// BillingSyncRequest asks for a page.
type BillingSyncRequest struct {
	Limit  option.Option[int] `query:"limit"`
	Cursor string             `query:"cursor"`
}

// Validate checks the request.
func (r *BillingSyncRequest) Validate() error {
	_, _, err := page.ByID(r.Cursor, r.Limit)
	return err
}

// BillingSyncItem is how far one organisation's licence is in step with Stripe.
type BillingSyncItem struct {
	OrgID      uuid.UUID  `json:"org_id"`
	CustomerID string     `json:"customer_id"`
	Status     string     `json:"status" schema:"enum=synced|pending|failing|never"` // synced, pending, failing, never
	SyncedAt   *time.Time `json:"synced_at"`
	FailedAt   *time.Time `json:"failed_at"` // of the last failure since then
	Error      string     `json:"error"`
	Attempts   int        `json:"attempts"`
	LagSeconds float64    `json:"lag_seconds"` // age of the oldest change that is not applied
}

// BillingSyncResponse is one page, by organisation.
type BillingSyncResponse struct {
	Configured bool              `json:"configured"` // false: STRIPE_API_KEY is not set
	Items      []BillingSyncItem `json:"items"`
	NextCursor string            `json:"next_cursor"`
}

// BillingSync is how far licences are in step with Stripe, for every organisation that is a customer.
//
// Platform staff may. Refuses with validation_failed and policy_denied.
//
//encore:api auth method=GET path=/api/v1/admin/billing/sync
func (s *Service) BillingSync(ctx context.Context, r *BillingSyncRequest) (*BillingSyncResponse, error) {
	if _, err := authz.Check(ctx, "list", operations); err != nil {
		return nil, err
	}
	after, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := stripesync.Queue{DB: s.store.db}.Statuses(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := page.Cut(rows, limit, func(st stripesync.Status) any { return st.OrgID })
	out := &BillingSyncResponse{Configured: s.stripe != nil, Items: make([]BillingSyncItem, len(rows)), NextCursor: next}
	for i, st := range rows {
		out.Items[i] = BillingSyncItem{
			OrgID: st.OrgID, CustomerID: st.CustomerID, Status: stateOf(st), SyncedAt: inUTC(st.SyncedAt), FailedAt: inUTC(st.FailedAt),
			Error: st.Error, Attempts: st.Attempts, LagSeconds: st.Lag,
		}
	}
	return out, nil
}

func stateOf(st stripesync.Status) string {
	switch {
	case st.Error != "":
		return "failing"
	case st.DirtySince != nil:
		return "pending"
	case st.SyncedAt == nil:
		return "never"
	}
	return "synced"
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	utc := t.UTC()
	return &utc
}

// ResyncResponse names the customer that is looked at again.
type ResyncResponse struct {
	OrgID      uuid.UUID `json:"org_id"`
	CustomerID string    `json:"customer_id"`
	Status     string    `json:"status"` // pending
}

// ResyncBilling has an organisation's state at Stripe looked at again, ahead of those that only a
// reconciliation asks for.
//
// Platform administrators may. Refuses with not_found (no such organisation, or it is no customer),
// policy_denied and dependency_unavailable (Stripe is not configured).
//
//encore:api auth method=POST path=/api/v1/admin/orgs/:org_id/billing/resync
func (s *Service) ResyncBilling(ctx context.Context, org_id uuid.UUID) (*ResyncResponse, error) {
	d, err := authz.Check(ctx, "update", operations)
	if err != nil {
		return nil, err
	}
	if err := s.store.existing(ctx, org_id); err != nil {
		return nil, err
	}
	if _, err := s.billing(); err != nil {
		return nil, err
	}
	customer, ok, err := stripesync.CustomerOf(ctx, s.store.db, org_id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.NotFound("customer")
	}
	err = s.store.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		if err := stripesync.Mark(ctx, tx, customer.ID, stripesync.Request); err != nil {
			return err
		}
		return record(ctx, tx, license{OrgID: org_id}, "license:resync", d, map[string]any{"customer_id": customer.ID})
	})
	if err != nil {
		return nil, err
	}
	return &ResyncResponse{OrgID: org_id, CustomerID: customer.ID, Status: "pending"}, nil
}
