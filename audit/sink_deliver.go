package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/audit/sink"
	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/broker"
	"encore.app/infra/platform/deadletter"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/rlog"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// hint is the body of a message: which delivery is due, under which lease it was sent, and the attempt
// that it was sent with. Each attempt on the way has a lease of its own.
type hint struct {
	OrgID   uuid.UUID `json:"org_id"`
	ID      uuid.UUID `json:"id"`
	SinkID  uuid.UUID `json:"sink_id"`
	Lease   int       `json:"lease"`
	Attempt int       `json:"attempt"`
}

// lease is that of the attempt that m is.
func (h hint) lease(m broker.Message) int { return h.Lease + m.Attempt - h.Attempt }

// dispatchDue hands out leases on what is due, to each sink no more than it may have on its way. A sink
// that fails has one on its way, as a probe.
const dispatchDue = `
with free as (
    select s.org_id, s.id,
           case when s.failures >= $1 then 1 else $2 end - (
               select count(*) from audit.deliveries d
                where d.org_id = s.org_id and d.sink_id = s.id and d.state in ('queued', 'running') and d.due_at > now()) as room
      from audit.sinks s
     where s.enabled and (s.open_until is null or s.open_until <= now())
       and exists (select from audit.deliveries d
                    where d.org_id = s.org_id and d.sink_id = s.id
                      and d.state in ('pending', 'queued', 'running', 'retrying') and d.due_at <= now())),
picked as (
    select d.org_id, d.id from free cross join lateral (
        select org_id, id from audit.deliveries
         where org_id = free.org_id and sink_id = free.id
           and state in ('pending', 'queued', 'running', 'retrying') and due_at <= now()
         order by due_at, seq limit greatest(free.room, 0)
           for update skip locked) d)
update audit.deliveries d
   set state = 'queued', lease = d.lease + 1, due_at = now() + make_interval(secs => $3)
  from picked where d.org_id = picked.org_id and d.id = picked.id
returning d.org_id, d.id, d.sink_id, d.lease, d.attempts + 1, d.first_failed_at`

// publishWithin bounds how long a broker that is away holds up the fan-out.
const publishWithin = 3 * time.Second

// dispatch hands what is due to the broker.
func (s *sinks) dispatch(ctx context.Context) error {
	type due struct {
		hint
		firstFailed *time.Time
	}
	rows, err := tenantdb.Rows(ctx, s.store.db, tenantdb.Platform(), func(row pgx.CollectableRow) (d due, err error) {
		return d, row.Scan(&d.OrgID, &d.ID, &d.SinkID, &d.Lease, &d.Attempt, &d.firstFailed)
	}, dispatchDue, sink.BreakAfter, perSink, queuedFor.Seconds())
	if err != nil || len(rows) == 0 {
		return wrapSink("dispatch to", err)
	}
	messages := make([]broker.Message, len(rows))
	ids := make([]uuid.UUID, len(rows))
	for i, d := range rows {
		body, err := json.Marshal(d.hint)
		if err != nil {
			return wrapSink("dispatch to", err)
		}
		messages[i] = broker.Message{ID: d.ID.String(), Body: body, Attempt: d.Attempt}
		if d.firstFailed != nil {
			messages[i].FirstFailed = *d.firstFailed
		}
		ids[i] = d.ID
	}
	published, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	if err := s.broker.Publish(published, sinkQueue, messages...); err != nil {
		return errors.Join(wrapSink("dispatch to", err), s.takeBack(ctx, ids))
	}
	return nil
}

// takeBack makes what could not be published due again soon. Some of it may be in the queue all the
// same; its lease is over then.
func (s *sinks) takeBack(ctx context.Context, ids []uuid.UUID) error {
	err := s.store.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
update audit.deliveries set state = 'pending', lease = lease + 1, due_at = now() + interval '1 second'
 where (org_id, id) in (select org_id, id from audit.deliveries where id = any($1) and state = 'queued' for update skip locked)`, ids)
		return err
	})
	return wrapSink("take back from", err)
}

// deliver makes one delivery: claim, post, settle.
func (s *sinks) deliver(ctx context.Context, m broker.Message) error {
	var h hint
	if err := json.Unmarshal(m.Body, &h); err != nil {
		return broker.GiveUp(fmt.Errorf("audit: malformed hint: %w", err))
	}
	var p parcel
	var ok bool
	var body []byte
	err := s.inTurn(func() (err error) {
		if p, ok, err = s.store.claim(ctx, h.OrgID, h.ID, h.lease(m)); ok && err == nil {
			body, err = s.body(ctx, p)
		}
		return err
	})
	switch {
	case errors.Is(err, errNoEvent):
		return s.fail(context.WithoutCancel(ctx), p, sink.Result{Err: err})
	case err != nil:
		return s.leave(err)
	case !ok:
		return nil
	}
	defer s.poke()
	result := s.post(ctx, p, body)
	if ctx.Err() != nil && result.Err != nil { // the shutdown cut it off: the receiver is not to blame
		return ctx.Err()
	}
	// What came of it is noted even if the shutdown has begun: otherwise the receiver gets it twice.
	ctx = context.WithoutCancel(ctx)
	if result.Err == nil {
		deliveries.WithLabelValues("delivered").Inc()
		settle := func() error { return s.store.delivered(ctx, p, result) }
		if err := insist(func() error { return s.inTurn(settle) }); err != nil {
			return s.leave(err)
		}
		return nil
	}
	return s.fail(ctx, p, result)
}

// insist tries again for a while what the database did not take: the receiver has the event, and what
// is not noted is sent again.
func insist(settle func() error) (err error) {
	const tries, pause = 10, 500 * time.Millisecond
	for range tries {
		if err = settle(); err == nil {
			return nil
		}
		<-time.After(pause)
	}
	return err
}

// leave lets go of a message that met a database that is away: the row is due again by itself.
func (s *sinks) leave(err error) error {
	rlog.Warn("a delivery is left to the next round", "err", err)
	return nil
}

func (s *sinks) fail(ctx context.Context, p parcel, result sink.Result) error {
	var next time.Duration
	attempt := p.Attempts + 1
	if attempt < sink.MaxAttempts && !errors.Is(result.Err, errNoEvent) {
		next = s.ladder.After(attempt)
	}
	var off string
	err := s.inTurn(func() (err error) {
		off, err = s.store.failed(ctx, p, result, next)
		return err
	})
	if err != nil {
		return s.leave(err)
	}
	if off != "" {
		rlog.Warn("audit sink is switched off", "org_id", p.OrgID, "sink_id", p.SinkID, "reason", off)
	}
	if next == 0 {
		deliveries.WithLabelValues("failed").Inc()
		return broker.GiveUp(result.Err)
	}
	deliveries.WithLabelValues("retried").Inc()
	return broker.RetryIn(next, result.Err)
}

var errNoEvent = errors.New("the event is older than the organisation keeps events")

// body is what is sent of p.
func (s *sinks) body(ctx context.Context, p parcel) ([]byte, error) {
	e, ok, err := s.events.one(ctx, p.OrgID, p.EventID)
	if err == nil && !ok {
		err = errNoEvent
	}
	if err != nil {
		return nil, err
	}
	return envelope(e, p.Seq)
}

func (s *sinks) post(ctx context.Context, p parcel, body []byte) sink.Result {
	keys := [][]byte{p.Secret}
	if p.OldSecret != nil {
		keys = append(keys, p.OldSecret)
	}
	ctx, cancel := context.WithTimeout(ctx, sink.Timeout)
	defer cancel()
	return s.poster.Post(ctx, p.URL, p.EventID.String(), body, keys...)
}

// envelope is the body of a delivery: the line that an export has of the event.
func envelope(e event.Event, seq int64) ([]byte, error) {
	e.Seq = seq
	data, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("audit: event for a sink: %w", err)
	}
	return json.Marshal(cloudEvent(e, data))
}

// bury keeps a message that was given up where operators see it.
func (s *sinks) bury(ctx context.Context, l broker.DeadLetter) error {
	return deadletter.Keep(ctx, s.store.db, l)
}

var noDecision authz.Decision

// systemContext is for what the app does by itself.
func systemContext(ctx context.Context) context.Context {
	return principal.NewContext(ctx, principal.System("audit-sinks"))
}
