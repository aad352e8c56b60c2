package schedule

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"encore.dev/rlog"
)

const (
	defaultLease = time.Minute
	storeTimeout = 10 * time.Second
	retryAfter   = 10 * time.Second // the store failed
	maxSleep     = time.Hour        // so that a clock that was set is noticed
)

var runsTotal = promauto.NewCounterVec(prometheus.CounterOpts{
	Name: "cron_runs_total", Help: "Runs of cron jobs by outcome.",
}, []string{"job", "outcome"})

// Job is something to run on a schedule.
type Job struct {
	ID       string
	Schedule Schedule
	Run      func(ctx context.Context, tick time.Time) error
}

// Config configures a [Runner].
type Config struct {
	Jobs  []Job
	Store Store
	Lease time.Duration // 0 is a minute
}

// Runner runs jobs until it is stopped.
type Runner struct {
	jobs  []Job
	store Store
	lease time.Duration

	tasks    context.Context // of the jobs
	endTasks context.CancelFunc
	stop     context.CancelFunc
	loops    sync.WaitGroup
}

// NewRunner makes a runner that runs nothing yet.
func NewRunner(cfg Config) *Runner {
	r := &Runner{jobs: cfg.Jobs, store: cfg.Store, lease: cfg.Lease}
	if r.lease == 0 {
		r.lease = defaultLease
	}
	r.tasks, r.endTasks = context.WithCancel(context.Background())
	return r
}

// Start starts one loop per job.
func (r *Runner) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	for _, job := range r.jobs {
		r.loops.Go(func() { r.loop(ctx, job) })
	}
}

// Stop starts no more runs and waits for those that run. Their contexts end
// with force; it stops waiting when giveUp is done.
func (r *Runner) Stop(force, giveUp context.Context) error {
	r.stop()
	defer context.AfterFunc(force, r.endTasks)()
	all := make(chan struct{})
	go func() {
		r.loops.Wait()
		close(all)
	}()
	select {
	case <-all:
		r.endTasks()
		return nil
	case <-giveUp.Done():
		return errors.New("cron jobs are still running")
	}
}

func (r *Runner) loop(ctx context.Context, job Job) {
	for ctx.Err() == nil {
		wait, err := r.step(ctx, job)
		if err != nil && ctx.Err() == nil {
			rlog.Error("cron job could not be scheduled", "job", job.ID, "error", err)
			wait = retryAfter
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// step runs the job if it is due, and says when to look again.
func (r *Runner) step(ctx context.Context, job Job) (wait time.Duration, err error) {
	now := time.Now()
	asked, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	last, err := r.store.Last(asked, job.ID, now)
	if err != nil {
		return 0, err
	}
	untilNext := min(job.Schedule.Next(now).Sub(now), maxSleep)
	tick := latest(job.Schedule, last, now)
	if tick.IsZero() {
		return untilNext, nil
	}
	claimed, err := r.store.Claim(asked, job.ID, tick, r.lease)
	if err != nil {
		return 0, err
	}
	if !claimed { // somebody runs it, and may die of it
		return min(untilNext, r.lease), nil
	}
	return 0, r.run(job, tick)
}

// run runs a claimed tick and holds the lease meanwhile.
func (r *Runner) run(job Job, tick time.Time) error {
	held, release := context.WithCancel(context.Background())
	var holding sync.WaitGroup
	holding.Go(func() { r.hold(held, job) })
	err := call(r.tasks, job, tick)
	release()
	holding.Wait()

	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err != nil && r.tasks.Err() != nil { // cut off by the shutdown: another process runs it
		return r.store.Release(ctx, job.ID)
	}
	outcome := "ok"
	if err != nil {
		outcome = "error"
		pairs := []any{"job", job.ID, "tick", tick.UTC().Format(time.RFC3339), "error", err}
		if p := (*panicError)(nil); errors.As(err, &p) {
			pairs = append(pairs, "stack", string(p.stack))
		}
		rlog.Error("cron job failed", pairs...)
	}
	runsTotal.WithLabelValues(job.ID, outcome).Inc()
	return r.store.Finish(ctx, job.ID, tick)
}

// hold extends the lease until ctx ends.
func (r *Runner) hold(ctx context.Context, job Job) {
	tick := time.NewTicker(r.lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := r.store.Extend(ctx, job.ID, r.lease); err != nil && ctx.Err() == nil {
				rlog.Warn("lease of a cron job was not extended", "job", job.ID, "error", err)
			}
		}
	}
}

type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

func call(ctx context.Context, job Job, tick time.Time) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	return job.Run(ctx, tick)
}
