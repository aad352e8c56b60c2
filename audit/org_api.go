package audit

import (
	"context"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.dev/types/uuid"
)

// maxFilter is more than any id, action or kind is long.
const maxFilter = 200

// ListEventsRequest narrows a search of the log.
type ListEventsRequest struct {
	Actor    string    `query:"actor"`
	Action   string    `query:"action"`
	Resource string    `query:"resource"` // a kind or an id
	From     time.Time `query:"from"`     // included
	To       time.Time `query:"to"`       // not included
	Limit    int       `query:"limit"`
	Cursor   string    `query:"cursor"`
}

// Validate checks the request.
func (r *ListEventsRequest) Validate() error {
	_, err := r.filter()
	return err
}

func (r *ListEventsRequest) filter() (filter, error) {
	var c fault.Checks
	f := filter{actor: r.Actor, action: r.Action, resource: r.Resource, from: r.From, to: r.To}
	f.limit = page.Limit(&c, r.Limit)
	page.Parse(&c, r.Cursor, &f.before)
	c.Filter("actor", r.Actor, maxFilter)
	c.Filter("action", r.Action, maxFilter)
	c.Filter("resource", r.Resource, maxFilter)
	if !r.From.IsZero() && !r.To.IsZero() && r.To.Before(r.From) {
		c.Add("to", "is before from")
	}
	return f, c.Err()
}

// ListEventsResponse is one page, newest first.
type ListEventsResponse struct {
	Items      []event.Event `json:"items"`
	NextCursor string        `json:"next_cursor"`
}

// ListEvents searches the organisation's log.
//
// Owners, administrators and auditors of the organisation may. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/audit/events
func (s *Service) ListEvents(ctx context.Context, org_id uuid.UUID, r *ListEventsRequest) (*ListEventsResponse, error) {
	if _, err := authz.Check(ctx, "list", authz.Resource{Kind: "audit_log", OrgID: org_id.String()}); err != nil {
		return nil, err
	}
	f, err := r.filter()
	if err != nil {
		return nil, err
	}
	f.org = &org_id
	limit := f.limit
	f.limit++
	found, err := s.store.search(ctx, f)
	if err != nil {
		return nil, err
	}
	items, next := page.Cut(found, limit, func(e event.Event) any { return position{At: e.OccurredAt, ID: e.ID} })
	return &ListEventsResponse{Items: items, NextCursor: next}, nil
}

// GetEvent is one event of the organisation's log.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/audit/events/:event_id
func (s *Service) GetEvent(ctx context.Context, org_id, event_id uuid.UUID) (*event.Event, error) {
	if _, err := authz.Check(ctx, "read", authz.Resource{Kind: "audit_log", ID: event_id.String(), OrgID: org_id.String()}); err != nil {
		return nil, err
	}
	e, ok, err := s.store.one(ctx, &org_id, event_id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.NotFound("event")
	}
	return &e, nil
}
