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

	"encore.app/infra/platform/incident"
	"encore.app/infra/platform/redact"
	"encore.app/infra/platform/tenantdb"
	"encore.app/infra/platform/tracing"
	"encore.app/infra/platform/wake"
	"encore.dev/rlog"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/sync/errgroup"
)

const (
	// batchSize rows are claimed at once, and window of them wait for the broker's confirm together.
	batchSize = 200
	window    = 100
	// poll bounds how long a row waits when its notification was lost.
	poll = time.Second
	// settleWithin is how long a consumer has before its message is published again; it doubles
	// with every attempt, up to maxWait.
	settleWithin = 15 * time.Second
	maxWait      = 10 * time.Minute
	// publishWithin bounds how long the broker may take for one message.
	publishWithin = 2 * time.Second
	// retryWithin is how soon a message is tried again that the broker could not take.
	retryWithin = time.Second
	// maxAttempts is when a message that was published every time and never settled is set aside as
	// dead, so that a poison message costs nothing more.
	maxAttempts = 20
)

var (
	oldest = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "tenantry_outbox_oldest_seconds",
		Help: "Age of the oldest message that is not settled; 0 if there is none.",
	})
	dead = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "tenantry_outbox_dead",
		Help: "Messages set aside as undeliverable.",
	})
)

var publishing = promauto.NewHistogramVec(prometheus.HistogramOpts{
	Name:    "tenantry_outbox_publish_seconds",
	Help:    "From handing a message to the broker until the broker has it, by topic.",
	Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
}, []string{"topic"})

var published = promauto.NewCounterVec(prometheus.CounterOpts{
	Name: "tenantry_outbox_published_total",
	Help: "Messages handed to the broker, by topic and result.",
}, []string{"topic", "result"})

// ErrMalformed is what a Publish returns for a message that will never be publishable.
var ErrMalformed = errors.New("outbox: malformed message")

// Publish hands one message to its topic and returns once the broker has it. An error other than
// [ErrMalformed] says that the broker is away.
type Publish func(ctx context.Context, payload json.RawMessage) error

// Decoded is a Publish of messages of one type.
func Decoded[T any](publish func(ctx context.Context, message *T) (id string, err error)) Publish {
	return func(ctx context.Context, payload json.RawMessage) error {
		message := new(T)
		if err := json.Unmarshal(payload, message); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		_, err := publish(ctx, message)
		return err
	}
}

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
	due := make(chan struct{}, 1)
	for _, topic := range r.topics { // so that their rates begin with a zero
		publishing.WithLabelValues(topic)
		for _, result := range []string{"ok", "failed", "dead"} {
			published.WithLabelValues(topic, result)
		}
	}
	r.done.Go(func() { wake.Listen(ctx, cfg.DB, channel, wake.Signal(due)) })
	r.done.Go(func() { r.run(ctx, due) })
	return r
}

// Topics are the ones that it publishes.
func (r *Relay) Topics() []string { return slices.Clone(r.topics) }

// Close stops the relay and waits for it. What it had claimed is published again by another.
func (r *Relay) Close() {
	r.cancel()
	r.done.Wait()
}

func (r *Relay) run(ctx context.Context, due <-chan struct{}) {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	failing := false
	for {
		n, err := r.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing: // once an outage, not once a second
			rlog.Warn("outbox cannot deliver and keeps trying", "err", err)
		case err == nil && failing:
			rlog.Info("outbox delivers again")
		}
		if failing = err != nil; !failing && n == batchSize {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-due:
		case <-ticker.C:
			r.measure(ctx)
		}
	}
}

const backlog = `
select coalesce(extract(epoch from now() - min(created_at) filter (where dead_at is null)), 0)::float8,
       count(*) filter (where dead_at is not null)
  from platform.outbox`

// measure says how far behind delivery is. What cannot be read keeps its last value.
func (r *Relay) measure(ctx context.Context) {
	type state struct {
		Oldest float64
		Dead   int64
	}
	s, err := tenantdb.Row(ctx, r.cfg.DB, tenantdb.Platform(), pgx.RowToStructByPos[state], backlog)
	if err != nil {
		return // the pass says so
	}
	oldest.Set(s.Oldest)
	dead.Set(float64(s.Dead))
}

type row struct {
	ID          uuid.UUID
	Topic       string
	Payload     json.RawMessage
	Attempts    int
	Traceparent string
}

// claim takes the oldest rows that are due and pushes their next turn into the future, so that a
// relay that dies here only delays them. Of a key it takes the first row alone.
const claim = `
update platform.outbox o
   set attempts = attempts + 1,
       due_at = now() + least(make_interval(secs => $2) * power(2, attempts), make_interval(secs => $3))
 where id in (
       select id from platform.outbox c
        where due_at <= now() and dead_at is null and topic = any($4)
          and (key is null or not exists (
               select from platform.outbox e
                where e.topic = c.topic and e.key = c.key and e.seq < c.seq and e.dead_at is null))
        order by due_at, id
        limit $1
          for update skip locked)
returning id, topic, payload, attempts, coalesce(traceparent, '')`

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
	b := batch{away: map[string]error{}}
	var group errgroup.Group
	group.SetLimit(window)
	for _, row := range rows {
		group.Go(func() error {
			b.note(row, r.hand(ctx, row, b.isAway(row.Topic)))
			return nil
		})
	}
	group.Wait()
	return len(rows), r.settle(ctx, &b)
}

// batch is what came of the rows of one pass.
type batch struct {
	mu   sync.Mutex
	away map[string]error // topics whose broker is away: no use asking it for every row
	late []uuid.UUID      // rows that an outage kept, and why
	why  []string
	dead []deadRow
}

type deadRow struct {
	row
	cause error
}

func (b *batch) isAway(topic string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.away[topic]
}

func (b *batch) note(row row, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil && row.Attempts < maxAttempts:
		published.WithLabelValues(row.Topic, "ok").Inc()
	case err == nil:
		b.dead = append(b.dead, deadRow{row, errors.New("published and never settled")})
	case errors.Is(err, ErrMalformed):
		b.dead = append(b.dead, deadRow{row, err})
	default:
		published.WithLabelValues(row.Topic, "failed").Inc()
		b.late, b.why = append(b.late, row.ID), append(b.why, err.Error())
		if b.away[row.Topic] == nil {
			b.away[row.Topic] = fmt.Errorf("%s: %w", row.Topic, err)
		}
	}
}

// hand gives the broker a bounded time: one that hangs must not hold up the other topics.
func (r *Relay) hand(ctx context.Context, row row, away error) error {
	if away != nil {
		return away
	}
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	ctx, relayed := tracing.Continue(ctx, row.Traceparent, tracing.Internal, "outbox "+row.Topic)
	ctx, sent := tracing.Start(ctx, tracing.Producer, "publish "+row.Topic)
	sent.Set("messaging.destination.name", row.Topic)
	sent.Set("messaging.message.id", row.ID.String())
	start := time.Now()
	err := r.cfg.Topics[row.Topic](ctx, row.Payload)
	if err == nil {
		publishing.WithLabelValues(row.Topic).Observe(time.Since(start).Seconds())
	}
	sent.End(err)
	relayed.End(err)
	return err
}

const postpone = `
with late as (
    select id, why from platform.outbox join unnest($1::uuid[], $2::text[]) late (id, why) using (id)
     order by id for update of outbox)
update platform.outbox o set attempts = attempts - 1, due_at = now() + make_interval(secs => $3), last_error = late.why
  from late where o.id = late.id`

// settle writes down what is not as it should be: the database's error first, then the broker's. An
// outage is not a message's fault: it costs no attempt, however long it lasts.
func (r *Relay) settle(ctx context.Context, b *batch) error {
	for _, d := range b.dead {
		published.WithLabelValues(d.Topic, "dead").Inc()
		rlog.Error("outbox message is dead", "topic", d.Topic, "message_id", d.ID, "attempts", d.Attempts, "err", redact.Error(d.cause))
		incident.Send(incident.Report{Kind: incident.Dead, Where: d.Topic, Reason: "retries_exhausted", Err: d.cause})
		err := r.mark(ctx, "update platform.outbox set dead_at = now(), last_error = $2 where id = $1", d.ID, d.cause.Error())
		if err != nil {
			return err
		}
	}
	if len(b.late) > 0 {
		err := r.mark(ctx, postpone, b.late, b.why, retryWithin.Seconds())
		if err != nil {
			return err
		}
	}
	return errors.Join(slices.Collect(maps.Values(b.away))...)
}

func (r *Relay) mark(ctx context.Context, sql string, args ...any) error {
	return r.cfg.DB.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
}
