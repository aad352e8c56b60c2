package epoch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"encore.app/infra/platform/tenantdb"
	"encore.app/infra/platform/wake"
	"encore.dev/types/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Bound is how old a watched counter can be: whoever has not heard from the database for as long
// does not answer at all.
const Bound = time.Second

const (
	// quiet is how long silence is taken for "nothing changed" before the database is asked whether it
	// is still there, and proofWithin how long it may take to say so. Together they stay below Bound.
	quiet       = 300 * time.Millisecond
	proofWithin = 500 * time.Millisecond
	// retryAfter is the pause after a connection that broke.
	retryAfter = 200 * time.Millisecond
	// mostWatched bounds the memory; one that was dropped is read again.
	mostWatched = 100_000
)

var (
	proven = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "tenantry_authz_epochs_heard_timestamp_seconds",
		Help: "When the database last proved that no change of rights went unheard. Decisions are cached only while this is less than a second ago.",
	})
	heard = promauto.NewCounter(prometheus.CounterOpts{
		Name: "tenantry_authz_epochs_heard_total",
		Help: "Changes of rights that this process heard of.",
	})
)

// ErrDeaf is the answer while changes may go unheard.
var ErrDeaf = errors.New("epoch: no word from the database")

// Everything is the subject whose counter stands for all others.
var Everything = uuid.Nil

// Watch knows the counters as the database has them, without asking it each time: what it has read
// is good until the channel names it.
type Watch struct {
	db     *tenantdb.DB
	known  *lru.Cache[string, uint64]
	proof  atomic.Int64  // of life, Unix nanoseconds
	gen    atomic.Uint64 // goes up with everything heard
	all    atomic.Uint64 // the counter of Everything; 0 while not known
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// StartWatch listens until Close.
func StartWatch(db *tenantdb.DB) (*Watch, error) {
	known, err := lru.New[string, uint64](mostWatched)
	if err != nil {
		return nil, fmt.Errorf("epoch: watch: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watch{db: db, known: known, cancel: cancel}
	listener := wake.Alive{
		Channel: Channel, Quiet: quiet, Within: proofWithin, Retry: retryAfter,
		Begin: w.begin, On: w.hear, Proven: w.prove,
	}
	w.done.Go(func() { listener.Listen(ctx, db) })
	return w, nil
}

// Close stops listening and waits for it.
func (w *Watch) Close() {
	w.cancel()
	w.done.Wait()
}

// Current is the counter of an organisation or a user; "" is [Everything]. It is [ErrDeaf] where
// that may be out of date.
func (w *Watch) Current(ctx context.Context, subject string) (uint64, error) {
	if w == nil || time.Now().UnixNano()-w.proof.Load() > int64(Bound) {
		return 0, ErrDeaf
	}
	if subject == "" {
		if epoch := w.all.Load(); epoch != 0 {
			return epoch, nil
		}
		return w.read(ctx, Everything.String(), func(epoch uint64) { w.all.Store(epoch) })
	}
	if epoch, ok := w.known.Get(subject); ok {
		return epoch, nil
	}
	return w.read(ctx, subject, func(epoch uint64) { w.known.Add(subject, epoch) })
}

// read asks the database, and keeps the answer unless something was heard meanwhile.
func (w *Watch) read(ctx context.Context, subject string, keep func(uint64)) (uint64, error) {
	gen := w.gen.Load()
	// Outside the request's own transaction: what that has not committed is nobody else's epoch.
	epoch, err := tenantdb.Row(tenantdb.Released(ctx), w.db, tenantdb.Scope{}, pgx.RowTo[int64], "select authz.epoch_of($1)", subject)
	if err != nil {
		return 0, fmt.Errorf("epoch: read: %w", err)
	}
	if w.gen.Load() == gen {
		keep(uint64(epoch))
		if w.gen.Load() != gen { // heard between the two
			w.forget(subject)
		}
	}
	return uint64(epoch), nil
}

func (w *Watch) forget(subject string) {
	if subject == Everything.String() {
		w.all.Store(0)
		return
	}
	w.known.Remove(subject)
}

func (w *Watch) begin() {
	w.gen.Add(1) // what was read before may have missed something
	w.known.Purge()
	w.all.Store(0)
}

func (w *Watch) hear(subject string) {
	w.gen.Add(1)
	w.forget(subject)
	heard.Inc()
}

func (w *Watch) prove(at time.Time) {
	w.proof.Store(at.UnixNano())
	proven.Set(float64(at.UnixNano()) / 1e9)
}
