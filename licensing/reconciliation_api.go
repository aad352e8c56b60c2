package licensing

import (
	"context"
	"encoding/json"
	"time"

	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
)

// Reconciliation is one comparison of every licence with Stripe.
type Reconciliation struct {
	ID         uuid.UUID  `json:"id"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"` // null: it runs
	Customers  int64      `json:"customers"`   // that were to be looked at
	Drifted    int64      `json:"drifted"`     // whose licence differed, though no delivery had said so
	Unchecked  int64      `json:"unchecked"`   // that Stripe had not answered about when the next one began
}

// ListReconciliationsRequest asks for a page.
type ListReconciliationsRequest struct {
	Limit  option.Option[int] `query:"limit"`
	Cursor string             `query:"cursor"`
}

// Validate checks the request.
func (r *ListReconciliationsRequest) Validate() error {
	_, _, err := r.page()
	return err
}

// endOfIDs is after every id.
var endOfIDs = uuid.UUID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func (r *ListReconciliationsRequest) page() (before uuid.UUID, limit int, err error) {
	before, limit, err = page.ByID(r.Cursor, r.Limit)
	if r.Cursor == "" {
		before = endOfIDs
	}
	return before, limit, err
}

// ListReconciliationsResponse is one page, the newest first.
type ListReconciliationsResponse struct {
	Items      []Reconciliation `json:"items"`
	NextCursor string           `json:"next_cursor"`
}

// ListReconciliations is what every nightly comparison of all licences with Stripe came to.
//
// Platform staff may. Refuses with validation_failed and policy_denied.
//
//encore:api auth method=GET path=/api/v1/admin/billing/reconciliations
func (s *Service) ListReconciliations(ctx context.Context, r *ListReconciliationsRequest) (*ListReconciliationsResponse, error) {
	if _, err := authz.Check(ctx, "list", operations); err != nil {
		return nil, err
	}
	before, limit, err := r.page()
	if err != nil {
		return nil, err
	}
	rows, err := s.store.reconciliations(ctx, before, limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := page.Cut(rows, limit, func(r reconciliation) any { return r.ID })
	out := &ListReconciliationsResponse{Items: make([]Reconciliation, len(rows)), NextCursor: next}
	for i, r := range rows {
		out.Items[i] = Reconciliation{
			ID: r.ID, StartedAt: r.StartedAt.UTC(), FinishedAt: inUTC(r.FinishedAt), Customers: r.Customers, Drifted: r.Drifted, Unchecked: r.Unchecked,
		}
	}
	return out, nil
}

// Drift is a licence that differed from what was paid for.
type Drift struct {
	OrgID      uuid.UUID       `json:"org_id"`
	CustomerID string          `json:"customer_id"`
	FoundAt    time.Time       `json:"found_at"`
	Before     json.RawMessage `json:"before"` // the licence as it was
	After      json.RawMessage `json:"after"`  // as Stripe has it
}

// ListDriftsRequest asks for a page.
type ListDriftsRequest struct {
	Limit  option.Option[int] `query:"limit"`
	Cursor string             `query:"cursor"`
}

// Validate checks the request.
func (r *ListDriftsRequest) Validate() error {
	_, _, err := page.ByID(r.Cursor, r.Limit)
	return err
}

// ListDriftsResponse is one page, by organisation.
type ListDriftsResponse struct {
	Items      []Drift `json:"items"`
	NextCursor string  `json:"next_cursor"`
}

// ListDrifts is which licences a reconciliation found to differ from Stripe, and how. They have been
// corrected.
//
// Platform staff may. Refuses with validation_failed, not_found and policy_denied.
//
//encore:api auth method=GET path=/api/v1/admin/billing/reconciliations/:reconciliation_id/drifts
func (s *Service) ListDrifts(ctx context.Context, reconciliation_id uuid.UUID, r *ListDriftsRequest) (*ListDriftsResponse, error) {
	if _, err := authz.Check(ctx, "list", operations); err != nil {
		return nil, err
	}
	after, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	if ok, err := s.store.hasReconciliation(ctx, reconciliation_id); err != nil || !ok {
		if err == nil {
			err = fault.NotFound("reconciliation")
		}
		return nil, err
	}
	rows, err := s.store.drifts(ctx, reconciliation_id, after, limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := page.Cut(rows, limit, func(d drift) any { return d.OrgID })
	out := &ListDriftsResponse{Items: make([]Drift, len(rows)), NextCursor: next}
	for i, d := range rows {
		out.Items[i] = Drift{OrgID: d.OrgID, CustomerID: d.CustomerID, FoundAt: d.FoundAt.UTC(), Before: d.Before, After: d.After}
	}
	return out, nil
}
