package audit

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
)

// logOf reads ?org_id=; without one it is the platform's own log.
func logOf(c *fault.Checks, org string) uuid.UUID {
	if org == "" {
		return uuid.Nil
	}
	id, err := uuid.FromString(org)
	if err != nil {
		c.Add("org_id", "is not an id")
	}
	return id
}

// checkLog asks whether the request's principal may do action on one log, or on all where org is nil.
func checkLog(ctx context.Context, action, id string, org uuid.UUID) error {
	r := authz.Resource{Kind: "audit_log", ID: id}
	if org != uuid.Nil {
		r.OrgID = org.String()
	}
	_, err := authz.Check(ctx, action, r)
	return err
}

// AdminListEventsRequest narrows a search of all logs, or of one. The nil UUID is the platform's.
type AdminListEventsRequest struct {
	OrgID    string             `query:"org_id" schema:"format=uuid"`
	Actor    string             `query:"actor" schema:"plain=200"`
	Action   string             `query:"action" schema:"plain=200"`
	Resource string             `query:"resource" schema:"plain=200"` // a kind or an id
	From     time.Time          `query:"from"`                        // included
	To       time.Time          `query:"to"`                          // not included
	Limit    option.Option[int] `query:"limit"`
	Cursor   string             `query:"cursor"`
}

// Validate checks the request.
func (r *AdminListEventsRequest) Validate() error {
	_, err := r.filter()
	return err
}

func (r *AdminListEventsRequest) filter() (filter, error) {
	var c fault.Checks
	org := logOf(&c, r.OrgID)
	if err := c.Err(); err != nil {
		return filter{}, err
	}
	narrow := ListEventsRequest{Actor: r.Actor, Action: r.Action, Resource: r.Resource, From: r.From, To: r.To, Limit: r.Limit, Cursor: r.Cursor}
	f, err := narrow.filter()
	if r.OrgID != "" {
		f.org = &org
	}
	return f, err
}

// AdminListEvents searches every organisation's log and the platform's own, or one of them.
//
// Platform staff may. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/admin/audit/events
func (s *Service) AdminListEvents(ctx context.Context, r *AdminListEventsRequest) (*ListEventsResponse, error) {
	f, err := r.filter()
	if err != nil {
		return nil, err
	}
	var org uuid.UUID
	if f.org != nil {
		org = *f.org
	}
	if err := checkLog(ctx, "list", "", org); err != nil {
		return nil, err
	}
	return s.list(ctx, f)
}

// list is one page of a search.
func (s *Service) list(ctx context.Context, f filter) (*ListEventsResponse, error) {
	limit := f.limit
	f.limit++
	found, err := s.store.search(ctx, f)
	if err != nil {
		return nil, err
	}
	items, next := page.Cut(found, limit, func(e event.Event) any { return position{At: e.OccurredAt, ID: e.ID} })
	return &ListEventsResponse{Items: items, NextCursor: next}, nil
}

// AdminGetEvent is one event, whichever log it is in.
//
// Platform staff may. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/admin/audit/events/:event_id
func (s *Service) AdminGetEvent(ctx context.Context, event_id uuid.UUID) (*event.Event, error) {
	if err := checkLog(ctx, "read", event_id.String(), uuid.Nil); err != nil {
		return nil, err
	}
	org, ok, err := s.store.logWith(ctx, event_id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.NotFound("event")
	}
	return s.event(ctx, org, event_id)
}

func (s *Service) event(ctx context.Context, org, id uuid.UUID) (*event.Event, error) {
	e, ok, err := s.store.one(ctx, org, id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.NotFound("event")
	}
	return &e, nil
}

// AdminProveEvent proves that an event is in its log, whichever that is.
//
// Platform staff may. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/admin/audit/events/:event_id/proof
func (s *Service) AdminProveEvent(ctx context.Context, event_id uuid.UUID) (*ProofResponse, error) {
	if err := checkLog(ctx, "read", event_id.String(), uuid.Nil); err != nil {
		return nil, err
	}
	org, ok, err := s.store.logWith(ctx, event_id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.NotFound("event")
	}
	return s.proof(ctx, org, event_id)
}

// AdminCheckpointRequest names a log; without org_id it is the platform's own.
type AdminCheckpointRequest struct {
	OrgID string `query:"org_id" schema:"format=uuid"`
}

// Validate checks the request.
func (r *AdminCheckpointRequest) Validate() error {
	var c fault.Checks
	logOf(&c, r.OrgID)
	return c.Err()
}

// AdminGetCheckpoint is what an organisation's log, or the platform's own, commits itself to now.
//
// Platform staff may. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/admin/audit/checkpoint
func (s *Service) AdminGetCheckpoint(ctx context.Context, r *AdminCheckpointRequest) (*CheckpointResponse, error) {
	var c fault.Checks
	org := logOf(&c, r.OrgID)
	if err := checkLog(ctx, "read", "", org); err != nil {
		return nil, err
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	return s.checkpoint(ctx, org)
}

// AdminConsistencyRequest names a log, and which size of it the caller knows.
type AdminConsistencyRequest struct {
	OrgID string `query:"org_id" schema:"format=uuid"`
	From  string `query:"from" schema:"required;pattern=^[0-9]{1,18}$"` // its number of entries
}

// Validate checks the request.
func (r *AdminConsistencyRequest) Validate() error {
	var c fault.Checks
	logOf(&c, r.OrgID)
	if err := c.Err(); err != nil {
		return err
	}
	_, err := parseFrom(r.From)
	return err
}

// AdminProveConsistency proves that a log continues the one of size from.
//
// Platform staff may. Refuses with policy_denied and validation_failed.
//
//encore:api auth method=GET path=/api/v1/admin/audit/consistency
func (s *Service) AdminProveConsistency(ctx context.Context, r *AdminConsistencyRequest) (*ConsistencyResponse, error) {
	var c fault.Checks
	org := logOf(&c, r.OrgID)
	if err := checkLog(ctx, "read", "", org); err != nil {
		return nil, err
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	from, err := parseFrom(r.From)
	if err != nil {
		return nil, err
	}
	return s.consistency(ctx, org, from)
}

// AdminExportEvents streams an organisation's log, or without org_id the platform's own, in the forms
// of the organisation's own export.
//
// Platform staff may. Refuses with policy_denied and validation_failed.
//
//encore:api auth raw method=GET path=/api/v1/admin/audit/export
func (s *Service) AdminExportEvents(w http.ResponseWriter, r *http.Request) {
	authz.Stream(w, r, func(ctx context.Context, w http.ResponseWriter) error {
		var c fault.Checks
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			c.Add("query", "is malformed")
		}
		org := logOf(&c, query.Get("org_id"))
		if err := c.Err(); err != nil {
			return err
		}
		return s.export(ctx, w, org, r.URL.RawQuery)
	})
}
