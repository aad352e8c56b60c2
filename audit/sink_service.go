package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"encore.app/audit/sink"
	"encore.app/infra/platform/broker"
	"encore.app/infra/platform/tenantdb"
	encore "encore.dev"
	"encore.dev/rlog"
)

// sinkQueue carries the ids of deliveries that are due.
const sinkQueue = "sink-deliveries"

// topology is every queue of the app beside the topics.
func topology(prefix string, ladder broker.Ladder) broker.Topology {
	return broker.Topology{Prefix: prefix, Queues: []string{sinkQueue}, Ladder: ladder}
}

const (
	// sinkHandlers is how many deliveries one process makes at once. It is far more than all sinks of
	// an organisation may have (maxSinks × perSink), so that those which hang leave room for others.
	sinkHandlers = 1024
	// atOnce is how many of them are at the database at once: most connections stay with requests.
	atOnce = 8
	// perSink is how many deliveries of one sink are on their way at once, over all processes.
	perSink = 8
	// sinkPoll is how soon new events are noticed.
	sinkPoll = 250 * time.Millisecond
)

// sinks carries events to the organisations' own systems: a fan-out turns new events into rows, a
// dispatcher hands due rows to the broker, and whoever takes them from there delivers them. The rows
// are the truth; what a broker forgets is due again.
type sinks struct {
	store  sinkStore
	events store
	broker broker.Broker
	poster *sink.Poster
	guard  sink.Guard
	ladder broker.Ladder

	turns  chan struct{} // at the database
	wake   chan struct{}
	cancel context.CancelFunc
	done   sync.WaitGroup
	topics []string // of the outbox that were measured; run's own
}

// sinkConfig is what the environment says about sinks.
type sinkConfig struct {
	rabbitURL    string
	secretsKey   string
	allowPrivate string // "true" lets development deliver to its own network

	prefix string // of the broker's names
	ladder broker.Ladder
}

func startSinks(db *tenantdb.DB, events store, c sinkConfig) (*sinks, error) {
	guard := sink.Guard{AllowPrivate: c.allowPrivate == "true"}
	production := encore.Meta().Environment.Type == encore.EnvProduction
	if c.secretsKey == "" && production {
		rlog.Warn("SINK_SECRETS_KEY is not set: the secrets of sinks lie open in the database")
	}
	if guard.AllowPrivate && production {
		return nil, errors.New("audit: SINKS_ALLOW_PRIVATE opens the own network to the organisations' addresses: unset it")
	}
	sealer, err := sink.NewSealer(c.secretsKey)
	if err != nil {
		return nil, err
	}
	s := &sinks{
		store: sinkStore{db: db, sealer: sealer}, events: events,
		broker: broker.New(c.rabbitURL, topology(c.prefix, c.ladder)), ladder: c.ladder,
		poster: sink.NewPoster(guard), guard: guard,
		turns: make(chan struct{}, atOnce), wake: make(chan struct{}, 1),
	}
	if err := s.broker.Open(context.Background()); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.broker.Close())
	}
	return s, nil
}

func (s *sinks) start() error {
	err := s.broker.Consume(broker.Consumer{
		Queue: sinkQueue, Prefetch: sinkHandlers, Timeout: sink.Timeout + 10*time.Second,
		MaxAttempts: sink.MaxAttempts, Handle: s.deliver, Dead: s.bury,
	})
	if err != nil {
		return fmt.Errorf("audit: sinks: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.done.Go(func() { s.run(ctx) })
	return nil
}

// stop takes no more work, waits for what runs until ctx ends, and leaves the rest to others.
func (s *sinks) stop(ctx context.Context) error {
	s.cancel()
	s.done.Wait()
	err := errors.Join(s.broker.Drain(ctx), s.broker.Close())
	s.poster.Close()
	return err
}

// run moves events on until ctx ends.
func (s *sinks) run(ctx context.Context) {
	ticker := time.NewTicker(sinkPoll)
	defer ticker.Stop()
	var measured, pruned time.Time
	failing := false
	for {
		more, err := s.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing: // once an outage, not four times a second
			rlog.Warn("sinks cannot move events on and keep trying", "err", err)
		case err == nil && failing:
			rlog.Info("sinks move events on again")
		}
		failing = err != nil
		if now := time.Now(); now.Sub(measured) >= measureEvery { // in an outage above all
			measured = now
			s.measure(ctx)
		}
		if now := time.Now(); !failing && now.Sub(pruned) >= pruneEvery {
			pruned = now
			s.prune(ctx)
		}
		if more && !failing {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-ticker.C:
		}
	}
}

// pass is one round; more says that it left something that need not wait.
func (s *sinks) pass(ctx context.Context) (more bool, err error) {
	more, err = s.fanOut(ctx)
	return more, errors.Join(err, s.dispatch(ctx))
}

// inTurn does a delivery's work at the database.
func (s *sinks) inTurn(work func() error) error {
	s.turns <- struct{}{}
	defer func() { <-s.turns }()
	return work()
}

// poke makes the next round come at once: a delivery is done, so another may go.
func (s *sinks) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
