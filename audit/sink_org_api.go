package audit

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"encore.app/audit/event"
	"encore.app/audit/sink"
	"encore.app/authz"
	"encore.app/infra/platform/etag"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.app/infra/platform/rowid"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
)

// CreateSink adds a sink: every event from now on that its patterns want is delivered there, signed as
// Standard Webhooks says. The answer holds the secret, which is not shown again.
//
// Owners and administrators may. Refuses with validation_failed (an address that is not a public https
// one), quota_exceeded, org_suspended and policy_denied.
//
//encore:api auth method=POST path=/api/v1/org/:org_id/audit/sinks
func (s *Service) CreateSink(ctx context.Context, org_id uuid.UUID, r *CreateSinkRequest) (*Sink, error) {
	row := sinkRow{OrgID: org_id, ID: rowid.New(), URL: r.URL, Events: r.Events}
	d, err := authz.Check(ctx, "create", row.resource())
	if err != nil {
		return nil, err
	}
	if err := s.sinks.mayDeliverTo(&r.URL); err != nil {
		return nil, err
	}
	secret := r.Secret
	if secret == "" {
		secret = sink.NewSecret()
	}
	key, err := sink.ParseSecret(secret)
	if err != nil {
		return nil, fault.Internal(err)
	}
	e, err := sinkEvent(ctx, "create", row, d, map[string]any{"host": hostOf(r.URL), "events": row.Events})
	if err != nil {
		return nil, err
	}
	row, err = s.sinks.store.create(ctx, row, key, e)
	if err != nil {
		return nil, sinkFault(err)
	}
	out := row.single()
	out.Secret, out.HTTPStatus = secret, http.StatusCreated
	return out, nil
}

// ListSinks lists the organisation's sinks.
//
// Owners, administrators and auditors may.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/audit/sinks
func (s *Service) ListSinks(ctx context.Context, org_id uuid.UUID, r *ListSinksRequest) (*ListSinksResponse, error) {
	if _, err := authz.Check(ctx, "list", sinkRow{OrgID: org_id}.resource()); err != nil {
		return nil, err
	}
	after, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.sinks.store.list(ctx, org_id, after, limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := page.Cut(rows, limit, func(r sinkRow) any { return r.ID })
	out := &ListSinksResponse{Items: make([]Sink, len(rows)), NextCursor: next}
	for i, row := range rows {
		out.Items[i] = row.payload()
	}
	return out, nil
}

// GetSink is one sink.
//
// Owners, administrators and auditors may. Refuses with not_found.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/audit/sinks/:id
func (s *Service) GetSink(ctx context.Context, org_id, id uuid.UUID) (*Sink, error) {
	if _, err := authz.Check(ctx, "read", sinkRow{OrgID: org_id, ID: id}.resource()); err != nil {
		return nil, err
	}
	row, err := s.sinks.store.one(ctx, org_id, id)
	if err != nil {
		return nil, sinkFault(err)
	}
	return row.single(), nil
}

// UpdateSink changes a sink: where it is, what it wants, whether it is on, its secret. A sink that is
// switched on again goes on where it stopped.
//
// Owners and administrators may. Refuses with validation_failed, not_found, version_conflict,
// org_suspended and policy_denied.
//
//encore:api auth method=PATCH path=/api/v1/org/:org_id/audit/sinks/:id
func (s *Service) UpdateSink(ctx context.Context, org_id, id uuid.UUID, r *UpdateSinkRequest) (*Sink, error) {
	row := sinkRow{OrgID: org_id, ID: id}
	d, err := authz.Check(ctx, "update", row.resource())
	if err != nil {
		return nil, err
	}
	if err := s.sinks.mayDeliverTo(r.URL); err != nil {
		return nil, err
	}
	c := sinkChange{version: etag.Wants(r.IfMatch), url: r.URL, events: r.Events, enabled: r.Enabled, overlap: r.overlap()}
	secret := r.Secret
	if secret == "" && r.RotateSecret {
		secret = sink.NewSecret()
	}
	if secret != "" {
		if c.secret, err = sink.ParseSecret(secret); err != nil {
			return nil, fault.Internal(err)
		}
	}
	if c.event, err = sinkEvent(ctx, "update", row, d, r.changes()); err != nil {
		return nil, err
	}
	if row, err = s.sinks.store.update(ctx, org_id, id, c); err != nil {
		return nil, sinkFault(err)
	}
	s.sinks.poke()
	out := row.single()
	out.Secret = secret
	return out, nil
}

func (r *UpdateSinkRequest) overlap() time.Duration {
	if r.OverlapMinutes != nil {
		return time.Duration(*r.OverlapMinutes) * time.Minute
	}
	return defaultOverlap * time.Minute
}

// changes is what the log is told. That a secret was replaced is told, the secret never.
func (r *UpdateSinkRequest) changes() map[string]any {
	changes := map[string]any{}
	if r.URL != nil {
		changes["host"] = hostOf(*r.URL)
	}
	if r.Events != nil {
		changes["events"] = r.Events
	}
	if r.Enabled != nil {
		changes["enabled"] = *r.Enabled
	}
	if r.RotateSecret || r.Secret != "" {
		changes["secret"] = "replaced"
	}
	return changes
}

// DeleteSink removes a sink with its delivery log. What is on its way may still arrive.
//
// Owners and administrators may. Refuses with not_found, version_conflict, org_suspended and
// policy_denied.
//
//encore:api auth method=DELETE path=/api/v1/org/:org_id/audit/sinks/:id
func (s *Service) DeleteSink(ctx context.Context, org_id, id uuid.UUID, r *DeleteSinkRequest) error {
	row := sinkRow{OrgID: org_id, ID: id}
	d, err := authz.Check(ctx, "delete", row.resource())
	if err != nil {
		return err
	}
	e, err := sinkEvent(ctx, "delete", row, d, map[string]any{})
	if err != nil {
		return err
	}
	return sinkFault(s.sinks.store.delete(ctx, org_id, id, etag.Wants(r.IfMatch), e))
}

// resource is the sink as policies see it.
func (r sinkRow) resource() authz.Resource {
	out := authz.Resource{Kind: "audit_sink", OrgID: r.OrgID.String()}
	if r.ID != uuid.Nil {
		out.ID = r.ID.String()
	}
	return out
}

// hostOf is what the log is told of an address: path and query may hold the receiver's own secret.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Host
}

func sinkEvent(ctx context.Context, action string, r sinkRow, d authz.Decision, changes map[string]any) (event.Event, error) {
	return event.New(ctx, r.OrgID, action, event.Resource{Kind: "audit_sink", ID: r.ID.String()}, event.Succeeded, d).With(changes)
}

// mayDeliverTo refuses an address on its face; nil is none.
func (s *sinks) mayDeliverTo(address *string) error {
	var c fault.Checks
	if address != nil {
		if err := s.guard.Check(*address); err != nil {
			c.Add("url", "%s", err)
		}
	}
	return c.Err()
}

// sinkFault says what a caller is told of a failure.
func sinkFault(err error) error {
	switch {
	case errors.Is(err, errNoSink):
		return fault.NotFound("sink")
	case errors.Is(err, errNoDelivery):
		return fault.NotFound("delivery")
	case errors.Is(err, errSinkChanged):
		return etag.Stale()
	case errors.Is(err, errTooManySinks):
		return fault.New(errs.FailedPrecondition, fault.QuotaExceeded, "the organisation has as many sinks as it may")
	}
	return err
}
