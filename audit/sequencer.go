package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"encore.app/audit/ledger"
	"encore.dev/rlog"
	"encore.dev/types/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	// sequencePoll bounds how long a leaf waits that another replica's writer queued.
	sequencePoll = 200 * time.Millisecond
	// sequenceRest is what lies at least between two turns: leaves that come together are cheaper.
	sequenceRest = 100 * time.Millisecond
	// sequenceWidth is how many logs grow in one transaction.
	sequenceWidth = 256
	// archiveEvery is how often new checkpoints leave for the object store.
	archiveEvery = 5 * time.Second
	// adoptEvery is how often events are looked for that an older version wrote.
	adoptEvery = 5 * time.Second
	// scrubEvery is how long an event that dies on its way may keep what it says of erased persons.
	scrubEvery = 5 * time.Minute
	// lagEvery is how often it is measured how far the numbers are behind.
	lagEvery = 5 * time.Second
)

var (
	checkpointLag = promauto.NewHistogram(prometheus.HistogramOpts{
		Name:    "tenantry_audit_checkpoint_lag_seconds",
		Help:    "Time from the writing of an event to the signed checkpoint that covers it.",
		Buckets: []float64{.025, .05, .1, .2, .3, .5, .75, 1, 1.5, 2, 5, 10, 60},
	})
	sequencedTotal = promauto.NewCounter(prometheus.CounterOpts{
		Name: "tenantry_audit_sequenced_total",
		Help: "Events that got their number.",
	})
	unnumbered = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "tenantry_audit_unnumbered_events",
		Help: "Events that are written and have no number yet.",
	})
	unnumberedAge = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "tenantry_audit_unnumbered_oldest_seconds",
		Help: "Age of the oldest of them; 0 if there is none.",
	})
	tamperedLogs = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "tenantry_audit_tampered_logs",
		Help: "Logs that contradict themselves or an archived checkpoint. Anything but 0 is an incident.",
	})
)

// sequencer numbers leaves and signs checkpoints in the background. Any number may run at once.
type sequencer struct {
	store   store
	keys    *ledger.Keys
	archive *archive
	observe func(age float64)
	wake    chan struct{}
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu       sync.Mutex
	tampered map[uuid.UUID]bool
}

func newSequencer(s store, keys *ledger.Keys, a *archive) *sequencer {
	return &sequencer{
		store: s, keys: keys, archive: a, observe: checkpointLag.Observe,
		wake: make(chan struct{}, 1), tampered: map[uuid.UUID]bool{},
	}
}

// start runs the sequencer until Close.
func (q *sequencer) start() {
	var ctx context.Context
	ctx, q.cancel = context.WithCancel(context.Background())
	q.done.Go(func() { q.loop(ctx, sequencePoll, q.wake, q.pass) })
	q.done.Go(func() { q.loop(ctx, archiveEvery, nil, q.put) })
	q.done.Go(func() { q.loop(ctx, adoptEvery, nil, q.store.adopt) })
	q.done.Go(func() { q.loop(ctx, scrubEvery, nil, q.store.scrub) })
	q.done.Go(func() { q.loop(ctx, lagEvery, nil, q.measure) })
}

// Close stops the sequencer and waits for it. What it had claimed is in the database still.
func (q *sequencer) Close() {
	q.cancel()
	q.done.Wait()
}

// Wake says that there is a new leaf.
func (q *sequencer) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *sequencer) loop(ctx context.Context, every time.Duration, wake <-chan struct{}, work func(context.Context) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false
	for {
		err := work(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing: // once an outage, not once a turn
			rlog.Warn("the audit log cannot go on and keeps trying", "err", err)
		case err == nil && failing:
			rlog.Info("the audit log goes on")
		}
		if failing = err != nil; failing {
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
			select {
			case <-ctx.Done():
				return
			case <-time.After(sequenceRest):
			}
		case <-tick.C:
		}
	}
}

// pass grows every log that has leaves waiting.
func (q *sequencer) pass(ctx context.Context) error {
	orgs, err := q.store.waiting(ctx)
	if err != nil {
		return err
	}
	for group := range slices.Chunk(orgs, sequenceWidth) {
		if err := q.drain(ctx, group); err != nil {
			return err
		}
	}
	return nil
}

// drain grows some logs until nothing waits. One that was tampered with stands still and says so; it
// does not hold up the others.
func (q *sequencer) drain(ctx context.Context, orgs []uuid.UUID) error {
	for {
		done, err := q.store.sequence(ctx, orgs, q.keys)
		if errors.Is(err, errTampered) && len(orgs) == 1 {
			q.accuse(orgs[0], err)
			return nil
		}
		if errors.Is(err, errTampered) { // one of them
			for _, org := range orgs {
				if err := q.drain(ctx, []uuid.UUID{org}); err != nil {
					return err
				}
			}
			return nil
		}
		if err != nil {
			return err
		}
		for org, err := range done.tampered {
			q.accuse(org, err)
		}
		for _, age := range done.ages {
			q.observe(age)
		}
		sequencedTotal.Add(float64(len(done.ages)))
		if len(done.ages) < sequenceBatch {
			return nil
		}
	}
}

// measure says how far the numbers are behind. What cannot be read keeps its last value.
func (q *sequencer) measure(ctx context.Context) error {
	events, oldest, err := q.store.unnumbered(ctx)
	if err == nil {
		unnumbered.Set(float64(events))
		unnumberedAge.Set(oldest)
	}
	return err
}

// accuse makes a contradiction known, once a log.
func (q *sequencer) accuse(org uuid.UUID, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.tampered[org] {
		q.tampered[org] = true
		tamperedLogs.Set(float64(len(q.tampered)))
		rlog.Error("an audit log was tampered with", "org_id", org, "err", err)
	}
}

// put archives new checkpoints. A log that cannot be archived holds up no other.
func (q *sequencer) put(ctx context.Context) error {
	waiting, err := q.archive.waiting(ctx)
	if err != nil {
		return err
	}
	for _, u := range waiting {
		err := q.archive.put(ctx, u)
		switch {
		case errors.Is(err, errContradiction):
			q.archive.setAside(u.Org)
			q.accuse(u.Org, err)
		case errors.Is(err, errUnreadable):
			q.archive.setAside(u.Org)
			rlog.Warn("an audit log is not archived and will be tried again", "org_id", u.Org, "err", err)
		case err != nil:
			return fmt.Errorf("audit: archive: %w", err)
		}
	}
	return nil
}
