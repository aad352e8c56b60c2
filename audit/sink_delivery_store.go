package audit

import (
	"context"
	"errors"
	"time"

	"encore.app/audit/event"
	"encore.app/audit/sink"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// The states of a delivery. A row that is not delivered or failed is due at due_at, whatever became of
// the message that carried its id.
//
//	pending   nobody has it
//	queued    its id is on its way through the broker
//	running   somebody delivers it
//	retrying  it failed and its id waits on the ladder
//	delivered the receiver has it
//	failed    it was given up
//
// lease fences them: a message carries the lease under which it was sent, and every change of hands
// makes a new one, so that a message that comes late or twice finds nothing to do.

const (
	queuedFor = time.Minute // a message that is not taken by then is taken for lost
	runFor    = sink.Timeout + 15*time.Second
	// retryGrace is how late the ladder may be before a retry is taken for lost.
	retryGrace = 15 * time.Second
	// fanOutBatch is how many events are looked at in one transaction.
	fanOutBatch = 500
	// fanOutSinks is how many sinks are moved on in one round.
	fanOutSinks = 100
)

// fanOut makes the deliveries of new events; more says that events are left. Of more sinks than fit
// into a round chance takes some, and one that cannot be moved on holds up no other.
func (s *sinks) fanOut(ctx context.Context) (more bool, err error) {
	type key struct{ OrgID, ID uuid.UUID }
	behind, err := tenantdb.Rows(ctx, s.store.db, tenantdb.Platform(), pgx.RowToStructByPos[key], `
select s.org_id, s.id from audit.sinks s join audit.logs l on l.org_id = s.org_id
 where s.enabled and s.next_seq <= l.size order by random() limit $1`, fanOutSinks)
	if err != nil {
		return false, wrapSink("fan out to", err)
	}
	more = len(behind) == fanOutSinks
	var failed []error
	for _, k := range behind {
		full, err := s.store.fanOut(ctx, k.OrgID, k.ID)
		more = more || full
		failed = append(failed, err)
	}
	return more, wrapSink("fan out to", errors.Join(failed...))
}

// candidate is an event that a sink may want. Kind is null where retention has removed the event.
type candidate struct {
	Seq     int64
	EventID uuid.UUID
	Kind    *string
	Action  *string
}

// fanOut moves one sink's cursor on, over the next events of the log, and makes a delivery of each that
// it wants, in one transaction: none is missed and none comes twice. A cursor that was set back meets
// deliveries that there are already; they are made again.
func (s sinkStore) fanOut(ctx context.Context, org, id uuid.UUID) (full bool, err error) {
	err = s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
		var from int64
		var patterns sink.Filter
		err := tx.QueryRow(ctx, `
select next_seq, events from audit.sinks where org_id = $1 and id = $2 and enabled for update skip locked`, org, id).Scan(&from, &patterns)
		if errors.Is(err, pgx.ErrNoRows) { // another process has it, or it is gone
			return nil
		}
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
select l.seq, l.event_id, e.resource_kind, e.action
  from audit.leaves l left join audit.events e on e.org_id = l.org_id and e.id = l.event_id
 where l.org_id = $1 and l.seq >= $2 and l.seq <= (select size from audit.logs where org_id = $1)
 order by l.seq limit $3`, org, from, fanOutBatch)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[candidate])
		if err != nil || len(found) == 0 {
			return err
		}
		full = len(found) == fanOutBatch
		return s.addDeliveries(ctx, tx, org, id, patterns, found)
	})
	return full, err
}

func (s sinkStore) addDeliveries(ctx context.Context, tx pgx.Tx, org, id uuid.UUID, patterns sink.Filter, found []candidate) error {
	var ids, events []uuid.UUID
	var seqs []int64
	for _, c := range found {
		if c.Kind != nil && patterns.Match(*c.Kind, *c.Action) {
			ids, events, seqs = append(ids, rowid.New()), append(events, c.EventID), append(seqs, c.Seq)
		}
	}
	if len(ids) > 0 {
		_, err := tx.Exec(ctx, `
insert into audit.deliveries (org_id, sink_id, id, event_id, seq)
select $1, $2, unnest($3::uuid[]), unnest($4::uuid[]), unnest($5::bigint[])
    on conflict on constraint deliveries_event do update
   set state = 'pending', attempts = 0, lease = deliveries.lease + 1, due_at = now()
 where deliveries.state in ('delivered', 'failed')`, org, id, ids, events, seqs)
		if err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, "update audit.sinks set next_seq = $3 where org_id = $1 and id = $2", org, id, found[len(found)-1].Seq+1)
	return err
}

// parcel is a delivery that somebody has claimed, with what it takes to make it.
type parcel struct {
	OrgID     uuid.UUID
	ID        uuid.UUID
	SinkID    uuid.UUID
	EventID   uuid.UUID
	Seq       int64
	Attempts  int
	URL       string
	Secret    []byte
	OldSecret []byte // null unless it still signs
	lease     int
}

// claim takes a delivery that was sent under lease. ok is false when it is not to be delivered now: it
// is somebody else's, it is done, or its sink takes nothing at the moment and has it back.
func (s sinkStore) claim(ctx context.Context, org, id uuid.UUID, lease int) (p parcel, ok bool, err error) {
	err = s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
update audit.deliveries d set state = 'running', due_at = now() + make_interval(secs => $4)
  from audit.sinks s
 where d.org_id = $1 and d.id = $2 and d.lease = $3 and d.state in ('queued', 'retrying')
   and s.org_id = d.org_id and s.id = d.sink_id and s.enabled and (s.open_until is null or s.open_until <= now())
returning d.org_id, d.id, d.sink_id, d.event_id, d.seq, d.attempts, s.url, s.secret,
          case when s.old_secret_until > now() then s.old_secret end`, org, id, lease, runFor.Seconds()).
			Scan(&p.OrgID, &p.ID, &p.SinkID, &p.EventID, &p.Seq, &p.Attempts, &p.URL, &p.Secret, &p.OldSecret)
		if err == nil {
			ok, p.lease = true, lease
			return nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		_, err = tx.Exec(ctx, `
update audit.deliveries d set state = 'pending', lease = d.lease + 1, due_at = coalesce(s.open_until, now())
  from audit.sinks s
 where d.org_id = $1 and d.id = $2 and d.lease = $3 and d.state in ('queued', 'retrying')
   and s.org_id = d.org_id and s.id = d.sink_id`, org, id, lease)
		return err
	})
	if err != nil || !ok {
		return p, false, wrapSink("claim for", err)
	}
	if p.Secret, err = s.sealer.Open(p.SinkID.String(), p.Secret); err == nil && p.OldSecret != nil {
		p.OldSecret, err = s.sealer.Open(p.SinkID.String(), p.OldSecret)
	}
	return p, err == nil, err
}

const settled = `
update audit.deliveries
   set state = $4, attempts = attempts + 1, response_status = nullif($5, 0), error = $6, duration_ms = $7,
       lease = lease + 1, due_at = now() + make_interval(secs => $8), last_attempt_at = now(),
       first_failed_at = case when $4 = 'delivered' then first_failed_at else coalesce(first_failed_at, now()) end,
       delivered_at = case when $4 = 'delivered' then now() else delivered_at end
 where org_id = $1 and id = $2 and lease = $3 and state = 'running'`

// delivered notes that the receiver has it, and closes the sink's breaker.
func (s sinkStore) delivered(ctx context.Context, p parcel, r sink.Result) error {
	err := s.db.Tx(ctx, tenantdb.Org(p.OrgID), func(tx pgx.Tx) error {
		// The sink's row comes before its deliveries' everywhere: its deletion takes them in that order.
		_, err := tx.Exec(ctx, `
update audit.sinks set failures = 0, failing_since = null, open_until = null
 where org_id = $1 and id = $2 and failures > 0`, p.OrgID, p.SinkID)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, settled, p.OrgID, p.ID, p.lease, "delivered", r.Status, "", r.Took.Milliseconds(), 0)
		return err
	})
	return wrapSink("settle for", err)
}

// failed notes a failure, of the delivery and of its sink. next is when it is tried again; 0 gives it
// up. off is why the sink is switched off, or "".
func (s sinkStore) failed(ctx context.Context, p parcel, r sink.Result, next time.Duration) (off string, err error) {
	state, wait := "failed", time.Duration(0)
	if next > 0 {
		state, wait = "retrying", next+retryGrace
	}
	err = s.db.Tx(ctx, tenantdb.Org(p.OrgID), func(tx pgx.Tx) error {
		before, counts, err := s.breaker(ctx, tx, p)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, settled, p.OrgID, p.ID, p.lease, state, r.Status, r.Err.Error(), r.Took.Milliseconds(), wait.Seconds())
		if err != nil || tag.RowsAffected() == 0 || !counts { // it took so long that it is somebody else's by now
			return err
		}
		if errors.Is(r.Err, errNoEvent) { // nothing was sent, so the receiver is not to blame
			return nil
		}
		off, err = s.strike(ctx, tx, p, r, before)
		return err
	})
	return off, wrapSink("settle for", err)
}

// breaker is the sink's, whose row is locked from here on. ok is false when the sink was deleted or
// switched off meanwhile.
func (s sinkStore) breaker(ctx context.Context, tx pgx.Tx, p parcel) (b sink.Breaker, ok bool, err error) {
	var since *time.Time
	err = tx.QueryRow(ctx, "select failures, failing_since from audit.sinks where org_id = $1 and id = $2 and enabled for update", p.OrgID, p.SinkID).Scan(&b.Failures, &since)
	if errors.Is(err, pgx.ErrNoRows) {
		return b, false, nil
	}
	if since != nil {
		b.FailingSince = *since
	}
	return b, err == nil, err
}

// strike counts a failure against the sink.
func (s sinkStore) strike(ctx context.Context, tx pgx.Tx, p parcel, r sink.Result, before sink.Breaker) (off string, err error) {
	now := time.Now()
	b, open := before.Fail(now)
	switch {
	case r.Gone():
		off = "the receiver answered 410 Gone"
	case b.Hopeless(now):
		off = "it failed for days without one success"
	}
	_, err = tx.Exec(ctx, `
update audit.sinks
   set failures = $3, failing_since = $4, open_until = case when $5::float8 > 0 then now() + make_interval(secs => $5) end,
       enabled = $6 = '', disabled_reason = $6, version = version + (case when $6 = '' then 0 else 1 end), updated_at = now()
 where org_id = $1 and id = $2`, p.OrgID, p.SinkID, b.Failures, b.FailingSince, open.Seconds(), off)
	if err != nil || off == "" {
		return "", err
	}
	e, err := switchedOff(ctx, p, off, b.Failures)
	if err != nil {
		return "", err
	}
	return off, e.Record(ctx, tx)
}

func switchedOff(ctx context.Context, p parcel, why string, failures int) (event.Event, error) {
	return event.New(systemContext(ctx), p.OrgID, "disable", event.Resource{Kind: "audit_sink", ID: p.SinkID.String()}, event.Succeeded, noDecision).
		With(map[string]any{"reason": why, "consecutive_failures": failures})
}
