package stripesync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// channel wakes workers.
const channel = "licensing_sync"

// leaseFor is how long a worker has for one customer. It is longer than Stripe may take.
const leaseFor = 30 * time.Second

// Reason is why a customer is looked at.
type Reason string

// The reasons. What a reconciliation alone brings to light is drift.
const (
	Webhook        Reason = "webhook"
	Request        Reason = "request"
	Reconciliation Reason = "reconciliation"
)

// Queue are the customers whose state at Stripe is not known to be ours.
type Queue struct{ DB *tenantdb.DB }

const receive = `
with seen as (
    insert into licensing.stripe_events (id, type, customer_id) values ($1, $2, $3)
    on conflict (id) do nothing returning 1),
marked as (
    insert into licensing.sync_queue as q (customer_id, reason) select $3, 'webhook' from seen where $3 <> ''
    on conflict (customer_id) do update
       set generation = q.generation + 1, reason = 'webhook', priority = 0, due_at = least(q.due_at, now())
    returning 1)
select exists (select from seen), coalesce((select pg_notify($4, '')::text from marked), '')`

// Receive keeps an event's id and marks its customer dirty, both or neither. fresh is false if the
// event came before. It is one round trip: Stripe waits for it.
func (q Queue) Receive(ctx context.Context, e Event) (fresh bool, err error) {
	type outcome struct {
		Fresh  bool
		Notify string
	}
	got, err := tenantdb.Row(ctx, q.DB, tenantdb.Platform(), pgx.RowToStructByPos[outcome], receive, e.ID, e.Type, e.Customer, channel)
	if err != nil {
		return false, fmt.Errorf("stripesync: receive: %w", err)
	}
	return got.Fresh, nil
}

const mark = `
insert into licensing.sync_queue as q (customer_id, reason, priority) values ($1, $2, $3)
on conflict (customer_id) do update
   set generation = q.generation + 1, reason = excluded.reason, priority = 0, due_at = least(q.due_at, now())`

// Mark marks a customer dirty in tx. It is served before those of a reconciliation.
func Mark(ctx context.Context, tx pgx.Tx, customer string, reason Reason) error {
	var batch pgx.Batch
	batch.Queue(mark, customer, string(reason), 0)
	batch.Queue("select pg_notify($1, '')", channel)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("stripesync: mark: %w", err)
	}
	return nil
}

const markAll = `
insert into licensing.sync_queue (customer_id, reason, priority)
select customer_id, 'reconciliation', 1 from licensing.customers
union
select unnest($1::text[]), 'reconciliation', 1
 order by 1 -- the same for all who do this at once
on conflict (customer_id) do nothing`

// MarkAll marks every known customer and the given others dirty, behind those that wait already, and
// says how many it added.
func MarkAll(ctx context.Context, tx pgx.Tx, others []string) (int64, error) {
	tag, err := tx.Exec(ctx, markAll, others)
	if err == nil {
		_, err = tx.Exec(ctx, "select pg_notify($1, '')", channel)
	}
	if err != nil {
		return 0, fmt.Errorf("stripesync: mark all: %w", err)
	}
	return tag.RowsAffected(), nil
}

// job is a customer that a worker has claimed.
type job struct {
	Customer   string
	Generation int64
	Reason     Reason
	Attempts   int
	lease      uuid.UUID
}

const claim = `
update licensing.sync_queue
   set lease = $1, leased_until = now() + make_interval(secs => $2), attempts = attempts + 1
 where customer_id = (
       select customer_id from licensing.sync_queue
        where due_at <= now() and (leased_until is null or leased_until <= now())
        order by priority, due_at
        limit 1
          for update skip locked)
returning customer_id, generation, reason, attempts`

// claim takes the next customer that is due; ok is false if there is none.
func (q Queue) claim(ctx context.Context, lease uuid.UUID, within time.Duration) (j job, ok bool, err error) {
	j, err = tenantdb.Row(ctx, q.DB, tenantdb.Platform(), func(row pgx.CollectableRow) (job, error) {
		j := job{lease: lease}
		return j, row.Scan(&j.Customer, &j.Generation, &j.Reason, &j.Attempts)
	}, claim, lease, within.Seconds())
	if errors.Is(err, pgx.ErrNoRows) {
		return job{}, false, nil
	}
	if err != nil {
		return job{}, false, fmt.Errorf("stripesync: claim: %w", err)
	}
	return j, true, nil
}

// errLost says that another worker holds the customer by now.
var errLost = errors.New("stripesync: the lease was lost")

// hold makes sure that the customer is still ours, until tx ends. Whoever marked it meanwhile has
// changed the reason.
func (j *job) hold(ctx context.Context, tx pgx.Tx) error {
	row := tx.QueryRow(ctx, "select reason from licensing.sync_queue where customer_id = $1 and lease = $2 for update", j.Customer, j.lease)
	if err := row.Scan(&j.Reason); errors.Is(err, pgx.ErrNoRows) {
		return errLost
	} else if err != nil {
		return fmt.Errorf("stripesync: hold: %w", err)
	}
	return nil
}

// settle forgets the mark, unless somebody marked the customer again since it was claimed.
func (j job) settle(ctx context.Context, tx pgx.Tx) error {
	tag, err := tx.Exec(ctx, "delete from licensing.sync_queue where customer_id = $1 and generation = $2", j.Customer, j.Generation)
	if err == nil && tag.RowsAffected() == 0 {
		_, err = tx.Exec(ctx, `update licensing.sync_queue
   set lease = null, leased_until = null, due_at = now(), dirty_since = now(), attempts = 0, last_error = null where customer_id = $1`, j.Customer)
	}
	if err != nil {
		return fmt.Errorf("stripesync: settle: %w", err)
	}
	return nil
}

const putBack = `
update licensing.sync_queue
   set lease = null, leased_until = null, due_at = now() + make_interval(secs => $3), last_error = $4
 where customer_id = $1 and lease = $2`

// putBack leaves the customer for later.
func (j job) putBack(ctx context.Context, tx pgx.Tx, after time.Duration, cause string) error {
	if _, err := tx.Exec(ctx, putBack, j.Customer, j.lease, after.Seconds(), cause); err != nil {
		return fmt.Errorf("stripesync: put back: %w", err)
	}
	return nil
}
