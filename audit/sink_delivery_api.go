package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Delivery is one event on its way to a sink. The event's id is what the receiver gets as webhook-id,
// the same on every attempt and every replay.
type Delivery struct {
	ID             uuid.UUID  `json:"id"`
	SinkID         uuid.UUID  `json:"sink_id"`
	EventID        uuid.UUID  `json:"event_id"`
	Seq            int64      `json:"seq"`
	Status         string     `json:"status" schema:"enum=pending|retrying|delivered|failed"` // pending, retrying, delivered, failed
	Attempts       int        `json:"attempts"`
	ResponseStatus *int       `json:"response_status,omitempty"` // of the last attempt
	Error          string     `json:"error,omitempty"`
	DurationMS     *int       `json:"duration_ms,omitempty"`
	NextAttemptAt  *time.Time `json:"next_attempt_at,omitempty"`
	CreatedAt      time.Time  `json:"created_at"`
	LastAttemptAt  *time.Time `json:"last_attempt_at,omitempty"`
	DeliveredAt    *time.Time `json:"delivered_at,omitempty"`
}

var deliveryStates = []string{"pending", "retrying", "delivered", "failed"}

// ListDeliveriesRequest asks for a page of a sink's deliveries.
type ListDeliveriesRequest struct {
	Status string             `query:"status" schema:"enum=pending|retrying|delivered|failed"` // "" is any
	Limit  option.Option[int] `query:"limit"`
	Cursor string             `query:"cursor"`
}

// Validate checks the request.
func (r *ListDeliveriesRequest) Validate() error {
	var c fault.Checks
	if r.Status != "" {
		c.OneOf("status", r.Status, deliveryStates...)
	}
	page.Limit(&c, r.Limit)
	page.Parse(&c, r.Cursor, new(uuid.UUID))
	return c.Err()
}

// ListDeliveriesResponse is one page, newest first.
type ListDeliveriesResponse struct {
	Items      []Delivery `json:"items"`
	NextCursor string     `json:"next_cursor"`
}

// ListDeliveries is a sink's delivery log.
//
// Owners, administrators and auditors may. Refuses with not_found.
//
//encore:api auth method=GET path=/api/v1/org/:org_id/audit/sinks/:id/deliveries
func (s *Service) ListDeliveries(ctx context.Context, org_id, id uuid.UUID, r *ListDeliveriesRequest) (*ListDeliveriesResponse, error) {
	if _, err := authz.Check(ctx, "read", sinkRow{OrgID: org_id, ID: id}.resource()); err != nil {
		return nil, err
	}
	before, limit, err := page.ByID(r.Cursor, r.Limit)
	if err != nil {
		return nil, err
	}
	if _, err := s.sinks.store.one(ctx, org_id, id); err != nil {
		return nil, sinkFault(err)
	}
	rows, err := s.sinks.store.deliveries(ctx, org_id, id, r.Status, before, limit+1)
	if err != nil {
		return nil, err
	}
	items, next := page.Cut(rows, limit, func(d Delivery) any { return d.ID })
	return &ListDeliveriesResponse{Items: items, NextCursor: next}, nil
}

// ReplayDelivery sends one event again, whatever became of it.
//
// Owners and administrators may. Refuses with not_found, org_suspended and policy_denied.
//
//encore:api auth method=POST path=/api/v1/org/:org_id/audit/sinks/:id/deliveries/:delivery_id/replay
func (s *Service) ReplayDelivery(ctx context.Context, org_id, id, delivery_id uuid.UUID) error {
	row := sinkRow{OrgID: org_id, ID: id}
	d, err := authz.Check(ctx, "update", row.resource())
	if err != nil {
		return err
	}
	e, err := sinkEvent(ctx, "replay", row, d, map[string]any{"delivery_id": delivery_id.String()})
	if err != nil {
		return err
	}
	if err := s.sinks.store.replay(ctx, org_id, id, delivery_id, e); err != nil {
		return sinkFault(err)
	}
	s.sinks.poke()
	return nil
}

// ReplaySinkRequest says from where.
type ReplaySinkRequest struct {
	FromSeq int64 `json:"from_seq" schema:"minimum=1"` // number of the first event that is sent again
}

// Validate checks the request.
func (r *ReplaySinkRequest) Validate() error {
	var c fault.Checks
	if r.FromSeq < 1 {
		c.Add("from_seq", "must be 1 or more")
	}
	return c.Err()
}

// ReplaySink sends everything again that the sink wants, from an event's number on.
//
// Owners and administrators may. Refuses with not_found, org_suspended and policy_denied.
//
//encore:api auth method=POST path=/api/v1/org/:org_id/audit/sinks/:id/replay
func (s *Service) ReplaySink(ctx context.Context, org_id, id uuid.UUID, r *ReplaySinkRequest) (*Sink, error) {
	row := sinkRow{OrgID: org_id, ID: id}
	d, err := authz.Check(ctx, "update", row.resource())
	if err != nil {
		return nil, err
	}
	e, err := sinkEvent(ctx, "replay", row, d, map[string]any{"from_seq": r.FromSeq})
	if err != nil {
		return nil, err
	}
	if row, err = s.sinks.store.update(ctx, org_id, id, sinkChange{nextSeq: &r.FromSeq, event: e}); err != nil {
		return nil, sinkFault(err)
	}
	s.sinks.poke()
	return row.single(), nil
}

var errNoDelivery = errors.New("audit: no such delivery")

const selectDeliveries = `
select id, sink_id, event_id, seq, case when state in ('queued', 'running') then 'pending' else state end, attempts,
       response_status, error, duration_ms, case when state = 'retrying' then due_at - make_interval(secs => $4) end,
       created_at, last_attempt_at, delivered_at
  from audit.deliveries
 where org_id = $1 and sink_id = $2 and ($3::uuid is null or id < $3)
   and ($5 = '' or $5 = case when state in ('queued', 'running') then 'pending' else state end)
 order by id desc limit $6`

func (s sinkStore) deliveries(ctx context.Context, org, sinkID uuid.UUID, status string, before uuid.UUID, limit int) ([]Delivery, error) {
	var last *uuid.UUID
	if before != uuid.Nil {
		last = &before
	}
	items, err := tenantdb.Rows(ctx, s.db, tenantdb.Org(org), func(row pgx.CollectableRow) (d Delivery, err error) {
		err = row.Scan(&d.ID, &d.SinkID, &d.EventID, &d.Seq, &d.Status, &d.Attempts, &d.ResponseStatus, &d.Error,
			&d.DurationMS, &d.NextAttemptAt, &d.CreatedAt, &d.LastAttemptAt, &d.DeliveredAt)
		d.CreatedAt = d.CreatedAt.UTC()
		d.NextAttemptAt, d.LastAttemptAt, d.DeliveredAt = utc(d.NextAttemptAt), utc(d.LastAttemptAt), utc(d.DeliveredAt)
		return d, err
	}, selectDeliveries, org, sinkID, last, retryGrace.Seconds(), status, limit)
	return items, wrapSink("list deliveries of", err)
}

func (s sinkStore) replay(ctx context.Context, org, sinkID, id uuid.UUID, e event.Event) error {
	err := s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
update audit.deliveries set state = 'pending', attempts = 0, lease = lease + 1, due_at = now()
 where org_id = $1 and sink_id = $2 and id = $3`, org, sinkID, id)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errNoDelivery
		}
		return e.Record(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("audit: replay: %w", err)
	}
	return nil
}
