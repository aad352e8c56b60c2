package audit

import (
	"context"
	"net/http"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	encore "encore.dev"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
)

// maxFilter is more than any id, action or kind is long.
const maxFilter = 200

// ListEventsRequest narrows a search of the log.
type ListEventsRequest struct {
	Actor    string             `query:"actor" schema:"plain=200"`
	Action   string             `query:"action" schema:"plain=200"`
	Resource string             `query:"resource" schema:"plain=200"` // a kind or an id
	From     time.Time          `query:"from"`                        // included
	To       time.Time          `query:"to"`                          // not included
	Limit    option.Option[int] `query:"limit"`
	Cursor   string             `query:"cursor"`
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
	return s.list(ctx, f)
}

// GetEvent is one event of the organisation's log.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/audit/events/:event_id
func (s *Service) GetEvent(ctx context.Context, org_id, event_id uuid.UUID) (*event.Event, error) {
	if _, err := authz.Check(ctx, "read", authz.Resource{Kind: "audit_log", ID: event_id.String(), OrgID: org_id.String()}); err != nil {
		return nil, err
	}
	return s.event(ctx, org_id, event_id)
}

// ProveEvent proves that an event is in the organisation's log, also when its payload is gone.
//
// Owners, administrators and auditors of the organisation may. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/audit/events/:event_id/proof
func (s *Service) ProveEvent(ctx context.Context, org_id, event_id uuid.UUID) (*ProofResponse, error) {
	if _, err := authz.Check(ctx, "read", authz.Resource{Kind: "audit_log", ID: event_id.String(), OrgID: org_id.String()}); err != nil {
		return nil, err
	}
	return s.proof(ctx, org_id, event_id)
}

// GetCheckpoint is what the organisation's log commits itself to now. Keep one: held against a later
// export it shows whether anything that it covers was changed.
//
// Owners, administrators and auditors of the organisation may. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/audit/checkpoint
func (s *Service) GetCheckpoint(ctx context.Context, org_id uuid.UUID) (*CheckpointResponse, error) {
	if _, err := authz.Check(ctx, "read", authz.Resource{Kind: "audit_log", OrgID: org_id.String()}); err != nil {
		return nil, err
	}
	return s.checkpoint(ctx, org_id)
}

// ProveConsistency proves that the organisation's log continues the one of size from.
//
// Owners, administrators and auditors of the organisation may. Refuses with policy_denied and
// validation_failed.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/audit/consistency
func (s *Service) ProveConsistency(ctx context.Context, org_id uuid.UUID, r *ConsistencyRequest) (*ConsistencyResponse, error) {
	if _, err := authz.Check(ctx, "read", authz.Resource{Kind: "audit_log", OrgID: org_id.String()}); err != nil {
		return nil, err
	}
	from, err := parseFrom(r.From)
	if err != nil {
		return nil, err
	}
	return s.consistency(ctx, org_id, from)
}

// ExportEvents streams the organisation's log, oldest first: NDJSON that can be verified offline
// (format=ndjson, the default; proofs=true adds each event's inclusion proof), plain CSV
// (format=csv), or OCSF events (as=ocsf). actor, action, resource, from and to narrow it as they do a
// search; every line of a narrowed NDJSON export has its proof.
//
// Owners, administrators and auditors of the organisation may. Refuses with policy_denied and
// validation_failed.
//
//encore:api auth raw method=GET path=/api/v1/org/:org_id/audit/export
func (s *Service) ExportEvents(w http.ResponseWriter, r *http.Request) {
	authz.Stream(w, r, func(ctx context.Context, w http.ResponseWriter) error {
		org, err := uuid.FromString(encore.CurrentRequest().PathParams.Get("org_id"))
		if err != nil {
			return fault.NotFound("organisation")
		}
		return s.export(ctx, w, org, r.URL.RawQuery)
	})
}
