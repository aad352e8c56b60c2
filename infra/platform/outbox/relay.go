package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"encore.app/infra/platform/tenantdb"
	"encore.dev/rlog"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	batchSize = 100
	// poll bounds how long a row waits when its notification was lost.
	poll = time.Second
	// settleWithin is how long a consumer has before its message is published again; it doubles
	// with every attempt, up to maxWait.
	settleWithin = 15 * time.Second
	maxWait      = 10 * time.Minute
	// retryWithin is the same for a message that could not even be published.
	retryWithin = time.Second
	// maxAttempts is when a row is set aside as dead, so that a poison message costs nothing more.
	maxAttempts = 20
)

var published = promauto.NewCounterVec(prometheus.CounterOpts{
	Name: "tenantry_outbox_published_total",
	Help: "Messages handed to the broker, by topic and result.",
}, []string{"topic", "result"})

// Publish hands one message to its topic and returns once the broker has it.
type Publish func(ctx context.Context, payload json.RawMessage) error

// Config is what a Relay needs.
type Config struct {
	DB *tenantdb.DB
	// Topics are the ones it publishes. Rows of others are left for a relay that knows them.
	Topics map[string]Publish
}

// Relay publishes the outbox. Any number may run at once: each row is claimed by one of them.
type Relay struct {
	cfg    Config
	topics []string
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// StartRelay runs a relay until Close.
func StartRelay(cfg Config) *Relay {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Relay{cfg: cfg, topics: slices.Collect(maps.Keys(cfg.Topics)), cancel: cancel}
	wake := make(chan struct{}, 1)
	r.done.Go(func() { r.listen(ctx, wake) })
	r.done.Go(func() { r.run(ctx, wake) })
	return r
}

// Close stops the relay and waits for it. What it had claimed is published again by another.
func (r *Relay) Close() {
	r.cancel()
	r.done.Wait()
}

func (r *Relay) run(ctx context.Context, wake <-chan struct{}) {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		n, err := r.pass(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			rlog.Error("outbox pass failed", "err", err)
		} else if n == batchSize {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-ticker.C:
		}
	}
}

// listen turns notifications into wake-ups. When it cannot listen, the poll goes on without it.
func (r *Relay) listen(ctx context.Context, wake chan<- struct{}) {
	for ctx.Err() == nil {
		if err := r.listenOnce(ctx, wake); err != nil && ctx.Err() == nil {
			rlog.Warn("outbox cannot listen, polling", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Second):
			}
		}
	}
}

func (r *Relay) listenOnce(ctx context.Context, wake chan<- struct{}) error {
	pooled, err := r.cfg.DB.Pool().Acquire(ctx)
	if err != nil {
		return err
	}
	// The connection leaves the pool: a session that listens must not be handed to anyone else.
	conn := pooled.Hijack()
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "listen "+channel); err != nil {
		return err
	}
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

type row struct {
	ID       uuid.UUID
	Topic    string
	Payload  json.RawMessage
	Attempts int
}

// claim takes the oldest rows that are due and pushes their next turn into the future, so that a
// relay that dies here only delays them.
const claim = `
update platform.outbox o
   set attempts = attempts + 1,
       due_at = now() + least(make_interval(secs => $2) * power(2, attempts), make_interval(secs => $3))
 where id in (
       select id from platform.outbox
        where due_at <= now() and dead_at is null and topic = any($4)
        order by due_at, id
        limit $1
          for update skip locked)
returning id, topic, payload, attempts`

// pass publishes one batch and says how many rows it claimed.
func (r *Relay) pass(ctx context.Context) (int, error) {
	var rows []row
	err := r.cfg.DB.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		found, err := tx.Query(ctx, claim, batchSize, settleWithin.Seconds(), maxWait.Seconds(), r.topics)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, pgx.RowToStructByPos[row])
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("claim: %w", err)
	}
	var failures error
	for _, row := range rows {
		if err := r.publish(ctx, row); err != nil {
			failures = errors.Join(failures, err)
		}
	}
	return len(rows), failures
}

func (r *Relay) publish(ctx context.Context, row row) error {
	err := r.cfg.Topics[row.Topic](ctx, row.Payload)
	if err == nil {
		published.WithLabelValues(row.Topic, "ok").Inc()
		if row.Attempts >= maxAttempts {
			return r.setAside(ctx, row, errors.New("published but never settled"))
		}
		return nil
	}
	published.WithLabelValues(row.Topic, "failed").Inc()
	if row.Attempts >= maxAttempts {
		return r.setAside(ctx, row, err)
	}
	return r.retrySoon(ctx, row, err)
}

// retrySoon brings a row that no broker took forward again: nobody is working on it.
func (r *Relay) retrySoon(ctx context.Context, row row, cause error) error {
	return r.mark(ctx, "update platform.outbox set due_at = now() + make_interval(secs => $2), last_error = $3 where id = $1",
		row.ID, retryWithin.Seconds(), cause.Error())
}

func (r *Relay) setAside(ctx context.Context, row row, cause error) error {
	rlog.Error("outbox message is dead", "topic", row.Topic, "message_id", row.ID, "attempts", row.Attempts, "err", cause)
	return r.mark(ctx, "update platform.outbox set dead_at = now(), last_error = $2 where id = $1", row.ID, cause.Error())
}

func (r *Relay) mark(ctx context.Context, sql string, args ...any) error {
	return r.cfg.DB.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
}
