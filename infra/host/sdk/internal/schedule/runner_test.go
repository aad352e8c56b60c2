//go:build stockhost

package schedule

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"encore.dev/internal/db/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// record collects the ticks that ran.
type record struct {
	mu    sync.Mutex
	ticks []time.Time
}

func (r *record) add(tick time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ticks = append(r.ticks, tick)
}

func (r *record) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ticks)
}

func every(t *testing.T, d time.Duration) Schedule {
	t.Helper()
	s, err := Every(d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// In these tests the clock is synctest's: it starts at a midnight and moves by itself.
func TestRunnerRunsEachTick(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ok, failing record
		r := NewRunner(Config{Store: &Memory{}, Jobs: []Job{
			{ID: "ok", Schedule: every(t, time.Hour), Run: func(_ context.Context, tick time.Time) error { ok.add(tick); return nil }},
			{ID: "panics", Schedule: every(t, time.Hour), Run: func(_ context.Context, tick time.Time) error { failing.add(tick); panic("boom") }},
		}})
		r.Start()
		time.Sleep(3*time.Hour + time.Minute)
		if err := r.Stop(t.Context(), t.Context()); err != nil {
			t.Fatal(err)
		}
		if ok.count() != 3 || failing.count() != 3 {
			t.Fatalf("%d and %d runs, want 3 each", ok.count(), failing.count())
		}
		for i, tick := range ok.ticks {
			if tick.Minute() != 0 || (i > 0 && tick.Sub(ok.ticks[i-1]) != time.Hour) {
				t.Errorf("ticks = %v", ok.ticks)
			}
		}
	})
}

func TestRunnerMakesUpForDowntimeOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &Memory{last: map[string]time.Time{"job": time.Now().Add(-5 * time.Hour)}}
		var runs record
		r := NewRunner(Config{Store: store, Jobs: []Job{{ID: "job", Schedule: every(t, time.Hour), Run: func(_ context.Context, tick time.Time) error {
			runs.add(tick)
			return nil
		}}}})
		start := time.Now()
		r.Start()
		time.Sleep(time.Minute)
		if err := r.Stop(t.Context(), t.Context()); err != nil {
			t.Fatal(err)
		}
		if runs.count() != 1 || start.Sub(runs.ticks[0]) >= time.Hour {
			t.Fatalf("runs = %v at %s, want the last tick once", runs.ticks, start)
		}
	})
}

func TestRunnerSkipsWhatALongRunSwallows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs record
		r := NewRunner(Config{Store: &Memory{}, Jobs: []Job{{ID: "slow", Schedule: every(t, time.Minute), Run: func(_ context.Context, tick time.Time) error {
			runs.add(tick)
			time.Sleep(150 * time.Second)
			return nil
		}}}})
		r.Start()
		time.Sleep(5*time.Minute + 30*time.Second)
		if err := r.Stop(t.Context(), t.Context()); err != nil {
			t.Fatal(err)
		}
		if runs.count() != 2 {
			t.Fatalf("runs = %v, want 2 that do not overlap", runs.ticks)
		}
	})
}

func TestStopForcesAndPutsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &Memory{}
		r := NewRunner(Config{Store: store, Jobs: []Job{{ID: "stuck", Schedule: every(t, time.Hour), Run: func(ctx context.Context, _ time.Time) error {
			<-ctx.Done()
			return ctx.Err()
		}}}})
		start := time.Now()
		r.Start()
		time.Sleep(time.Hour + time.Minute)
		force, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := r.Stop(force, t.Context()); err != nil {
			t.Fatal(err)
		}
		if last := store.last["stuck"]; last.After(start) {
			t.Fatalf("a run that was cut off counts as done: %s", last)
		}
	})
}

func pool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	p, err := pgxpool.New(t.Context(), os.Getenv("DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	tableMu.Lock() // two sessions cannot make one table at the same time
	defer tableMu.Unlock()
	if _, err := p.Exec(t.Context(), Table); err != nil {
		t.Fatal(err)
	}
	return p
}

var tableMu sync.Mutex

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestPostgresStore(t *testing.T) {
	t.Parallel()
	ctx, p := t.Context(), pool(t)
	a, b := NewPostgres(p, "a"), NewPostgres(p, "b")
	job := t.Name() + rand.Text()
	first := at("2026-03-01 12:00:00")
	tick := first.Add(time.Hour)

	if last := must(a.Last(ctx, job, first)); !last.Equal(first) {
		t.Fatalf("first sight: %s", last)
	}
	if last := must(b.Last(ctx, job, tick)); !last.Equal(first) {
		t.Fatalf("second sight: %s", last)
	}
	if must(a.Claim(ctx, job, first, time.Minute)) {
		t.Fatal("a tick that was run is claimed")
	}
	if !must(a.Claim(ctx, job, tick, time.Minute)) || must(b.Claim(ctx, job, tick, time.Minute)) {
		t.Fatal("a tick is not claimed once")
	}
	if err := b.Finish(ctx, job, tick); err == nil {
		t.Fatal("a run is finished by who does not hold the lease")
	}
	if err := errors.Join(a.Extend(ctx, job, time.Minute), a.Release(ctx, job)); err != nil {
		t.Fatal(err)
	}
	// b takes it and dies; its lease passes.
	if !must(b.Claim(ctx, job, tick, -time.Second)) || !must(a.Claim(ctx, job, tick, time.Minute)) {
		t.Fatal("a lease that has passed keeps others out")
	}
	if err := b.Extend(ctx, job, time.Minute); err == nil {
		t.Fatal("a lost lease is extended")
	}
	if err := a.Finish(ctx, job, tick); err != nil {
		t.Fatal(err)
	}
	if must(b.Claim(ctx, job, tick, time.Minute)) || !must(b.Last(ctx, job, tick)).Equal(tick) {
		t.Fatal("a finished tick is not done")
	}
}

// often is due every fifth of a second.
type often struct{}

func (often) Next(t time.Time) time.Time {
	return t.Truncate(200 * time.Millisecond).Add(200 * time.Millisecond)
}

func TestReplicasRunATickOnce(t *testing.T) {
	t.Parallel()
	p := pool(t)
	var runs record
	enough := make(chan struct{})
	var once sync.Once
	job := Job{ID: t.Name() + rand.Text(), Schedule: often{}, Run: func(_ context.Context, tick time.Time) error {
		runs.add(tick)
		if runs.count() >= 5 {
			once.Do(func() { close(enough) })
		}
		return nil
	}}
	var replicas []*Runner
	for _, owner := range []string{"a", "b", "c", "d"} {
		r := NewRunner(Config{Jobs: []Job{job}, Store: NewPostgres(p, owner)})
		r.Start()
		replicas = append(replicas, r)
	}
	select {
	case <-enough:
	case <-time.After(20 * time.Second):
		t.Error("the replicas run nothing")
	}
	for _, r := range replicas {
		if err := r.Stop(t.Context(), t.Context()); err != nil {
			t.Error(err)
		}
	}
	seen := map[int64]bool{}
	for _, tick := range runs.ticks {
		if seen[tick.UnixNano()] {
			t.Fatalf("tick %s ran twice", tick)
		}
		seen[tick.UnixNano()] = true
	}
}
