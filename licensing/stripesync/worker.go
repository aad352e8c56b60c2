package stripesync

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.app/infra/platform/wake"
	"encore.dev/rlog"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// poll bounds how long a customer waits when its notification was lost.
	poll = 2 * time.Second
	// parallel is how many customers one process looks at at once: well below Stripe's rate limit.
	parallel = 4
	// reconcileEvery spaces what only a reconciliation asks for, so that it takes neither Stripe's
	// hundred calls a second nor this process from those who wait.
	reconcileEvery = time.Second / 80
	// firstBackOff doubles with every failure, up to lastBackOff.
	firstBackOff = time.Second
	lastBackOff  = 10 * time.Minute
)

// Licences are what a Worker keeps true.
type Licences interface {
	// Apply makes g the organisation's licence, in tx. changed is false if it was already, or if
	// Stripe has no say in it.
	Apply(ctx context.Context, tx pgx.Tx, org uuid.UUID, g Grant, why Reason) (changed bool, err error)
	// Exists says whether there is such an organisation, and keeps it from being erased until tx ends.
	Exists(ctx context.Context, tx pgx.Tx, org uuid.UUID) (bool, error)
}

// WorkerConfig is what a Worker needs.
type WorkerConfig struct {
	Queue    Queue
	Stripe   *Client
	Licences Licences
	Lease    time.Duration // 0 is the usual
}

// Worker applies Stripe's state to licences. Any number may run at once, in any number of processes.
type Worker struct {
	cfg    WorkerConfig
	pace   pace
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// NewWorker makes a worker that waits for [Worker.Start] or is driven by [Worker.Step].
func NewWorker(cfg WorkerConfig) *Worker {
	if cfg.Lease == 0 {
		cfg.Lease = leaseFor
	}
	return &Worker{cfg: cfg, pace: pace{every: reconcileEvery}, cancel: func() {}}
}

// Start runs the worker until Close.
func (w *Worker) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	signal := make(chan struct{}, parallel)
	w.done.Go(func() { wake.Listen(ctx, w.cfg.Queue.DB, channel, wake.Signal(signal)) })
	w.done.Go(func() { w.measure(ctx) })
	for range parallel {
		w.done.Go(func() { w.run(ctx, signal) })
	}
}

// Close stops the worker and waits for it. What it had claimed, another takes over.
func (w *Worker) Close() {
	w.cancel()
	w.done.Wait()
}

func (w *Worker) run(ctx context.Context, signal <-chan struct{}) {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for ctx.Err() == nil {
		worked, err := w.Step(ctx)
		if err != nil && ctx.Err() == nil {
			rlog.Warn("licences cannot be synchronised and will be tried again", "err", err)
		}
		if worked && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-signal:
		case <-ticker.C:
		}
	}
}

// Step looks at one customer that is due. worked is false if none is. What fails at Stripe is put back
// and is no error: one customer must not hold up another.
func (w *Worker) Step(ctx context.Context) (worked bool, err error) {
	j, ok, err := w.cfg.Queue.claim(ctx, rowid.New(), w.cfg.Lease)
	if err != nil || !ok {
		return false, err
	}
	err = w.sync(ctx, j)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, errLost):
		syncs.WithLabelValues("lost").Inc()
		return true, nil
	case ctx.Err() != nil: // another may have it at once
		giveBack, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return true, w.tx(giveBack, func(tx pgx.Tx) error { return j.putBack(giveBack, tx, 0, Describe(err)) })
	}
	syncs.WithLabelValues("failed").Inc()
	rlog.Warn("customer not synchronised", "customer", j.Customer, "attempts", j.Attempts, "err", logged(err))
	return true, w.tx(ctx, func(tx pgx.Tx) error {
		cause := Describe(err)
		if err := j.putBack(ctx, tx, backOff(j.Attempts), cause); err != nil {
			return err
		}
		return failed(ctx, tx, j.Customer, cause)
	})
}

// logged is what a log line may hold of err: what Stripe says may quote what it was asked.
func logged(err error) string {
	if call := (*callError)(nil); errors.As(err, &call) {
		return Describe(err)
	}
	return err.Error()
}

// backOff spreads the next tries, so that an outage does not end in a stampede.
func backOff(attempts int) time.Duration {
	wait := lastBackOff
	if n := attempts - 1; n < 10 {
		wait = min(lastBackOff, firstBackOff<<max(0, n))
	}
	return wait/2 + rand.N(wait/2+1)
}

func (w *Worker) sync(ctx context.Context, j job) error {
	// Half of the lease, so that what is applied is applied while it is still ours.
	asking, cancel := context.WithTimeout(ctx, w.cfg.Lease/2)
	defer cancel()
	if j.Reason == Reconciliation {
		if err := w.pace.wait(asking); err != nil {
			return err
		}
	}
	c, ok, err := w.cfg.Queue.customer(ctx, j.Customer)
	if err != nil {
		return err
	}
	if !ok {
		if c, ok, err = w.adopt(asking, j.Customer); err != nil {
			return err
		}
	}
	if !ok {
		syncs.WithLabelValues("unknown").Inc()
		return w.tx(ctx, func(tx pgx.Tx) error {
			if err := j.hold(ctx, tx); err != nil {
				return err
			}
			return j.settle(ctx, tx)
		})
	}
	grant, err := w.cfg.Stripe.Grant(asking, j.Customer)
	if err != nil {
		return err
	}
	if len(grant.Unsold) > 0 {
		rlog.Warn("a customer pays for what the catalogue does not know", "customer", j.Customer, "prices", grant.Unsold)
	}
	changed := false
	err = w.tx(ctx, func(tx pgx.Tx) error {
		if err := j.hold(ctx, tx); err != nil {
			return err
		}
		linked, err := synced(ctx, tx, j.Customer, grant.Subscription)
		if err != nil {
			return err
		}
		// Its organisation may have been erased meanwhile, or have another customer.
		if err := j.settle(ctx, tx); err != nil || !linked {
			return err
		}
		changed, err = w.cfg.Licences.Apply(ctx, tx, c.OrgID, grant, j.Reason)
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case changed && j.Reason == Reconciliation:
		drifts.Inc()
		fallthrough
	case changed:
		syncs.WithLabelValues("changed").Inc()
	default:
		syncs.WithLabelValues("same").Inc()
	}
	return nil
}

// adopt links a customer that was made elsewhere and names an organisation of ours.
func (w *Worker) adopt(ctx context.Context, customer string) (c Customer, ok bool, err error) {
	owner, err := w.cfg.Stripe.Owner(ctx, customer)
	if err != nil || owner == "" {
		return Customer{}, false, err
	}
	org, err := uuid.FromString(owner)
	if err != nil {
		return Customer{}, false, nil
	}
	linked := false
	err = w.tx(ctx, func(tx pgx.Tx) (err error) {
		if ok, err = w.cfg.Licences.Exists(ctx, tx, org); err != nil || !ok {
			return err
		}
		linked, err = Link(ctx, tx, org, customer)
		return err
	})
	if err != nil || !ok {
		return Customer{}, false, err
	}
	if linked {
		return Customer{OrgID: org, ID: customer}, true, nil
	}
	// Somebody was first: with this customer, or with another one of the same organisation.
	if c, ok, err = w.cfg.Queue.customer(ctx, customer); err == nil && !ok {
		rlog.Warn("two customers name one organisation", "org_id", org, "customer", customer)
	}
	return c, ok, err
}

func (w *Worker) tx(ctx context.Context, fn func(pgx.Tx) error) error {
	if err := w.cfg.Queue.DB.Tx(ctx, tenantdb.Platform(), fn); err != nil {
		return fmt.Errorf("stripesync: %w", err)
	}
	return nil
}
