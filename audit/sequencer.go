package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"encore.app/audit/ledger"
	"encore.dev/rlog"
	"encore.dev/types/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/sync/errgroup"
)

const (
	// sequencePoll bounds how long a leaf waits that another replica's writer queued.
	sequencePoll = 200 * time.Millisecond
	// sequenceWidth is how many logs grow at once.
	sequenceWidth = 4
	// archiveEvery is how often new checkpoints leave for the object store.
	archiveEvery = 5 * time.Second
	// adoptEvery is how often events are looked for that an older version wrote.
	adoptEvery = 5 * time.Second
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
	wake    chan struct{}
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu       sync.Mutex
	tampered map[uuid.UUID]bool
}

func startSequencer(s store, keys *ledger.Keys, a *archive) *sequencer {
	ctx, cancel := context.WithCancel(context.Background())
	q := &sequencer{store: s, keys: keys, archive: a, wake: make(chan struct{}, 1), cancel: cancel, tampered: map[uuid.UUID]bool{}}
	q.done.Go(func() { q.loop(ctx, sequencePoll, q.wake, q.pass) })
	q.done.Go(func() { q.loop(ctx, archiveEvery, nil, q.put) })
	q.done.Go(func() { q.loop(ctx, adoptEvery, nil, q.store.adopt) })
	return q
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
		case <-wake:
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
	var group errgroup.Group // what stops one log stops no other
	group.SetLimit(sequenceWidth)
	for _, org := range orgs {
		group.Go(func() error { return q.drain(ctx, org) })
	}
	return group.Wait()
}

// drain grows one log until nothing waits. A log that was tampered with stands still and says so; it
// does not hold up the others.
func (q *sequencer) drain(ctx context.Context, org uuid.UUID) error {
	for {
		ages, err := q.store.sequence(ctx, org, q.keys)
		if errors.Is(err, errTampered) {
			q.accuse(org, err)
			return nil
		}
		if err != nil {
			return err
		}
		for _, age := range ages {
			checkpointLag.Observe(age)
		}
		sequencedTotal.Add(float64(len(ages)))
		if len(ages) < sequenceBatch {
			return nil
		}
	}
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

// put archives new checkpoints.
func (q *sequencer) put(ctx context.Context) error {
	waiting, err := q.archive.waiting(ctx)
	if err != nil {
		return err
	}
	for _, u := range waiting {
		err := q.archive.put(ctx, u)
		if errors.Is(err, errContradiction) {
			q.accuse(u.Org, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("audit: archive: %w", err)
		}
	}
	return nil
}
