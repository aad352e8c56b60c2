package audit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
)

// recorder is what a group writes to.
type recorder struct {
	mu      sync.Mutex
	written []int
	largest int
	gate    chan struct{} // nil lets every write through
}

var errPoison = errors.New("poison")

// poison is an item that cannot be written.
const poison = -1

func (r *recorder) write(_ context.Context, items []int) error {
	if r.gate != nil {
		<-r.gate
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(items, poison) {
		return errPoison
	}
	r.written = append(r.written, items...)
	r.largest = max(r.largest, len(items))
	return nil
}

func TestWhatComesTogetherIsWrittenTogetherAndOnce(t *testing.T) {
	t.Parallel()
	const clients, each = 100, 200
	r := &recorder{gate: make(chan struct{})}
	g := &group[int]{write: r.write}
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for n := range each {
				if err := g.do(t.Context(), c*each+n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	eventually(t, "some wait for the first to be written", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.waiting) > 1
	})
	close(r.gate)
	all.Wait()
	slices.Sort(r.written)
	if len(r.written) != clients*each || len(slices.Compact(slices.Clone(r.written))) != clients*each {
		t.Errorf("%d written", len(r.written))
	}
	if r.largest < 2 || r.largest > groupMost {
		t.Errorf("the largest transaction had %d", r.largest)
	}
	if g.writers != 0 || len(g.waiting) != 0 {
		t.Errorf("%d writers and %d waiting are left", g.writers, len(g.waiting))
	}
}

func TestOneThatCannotBeWrittenFailsNobodyElse(t *testing.T) {
	t.Parallel()
	r := &recorder{gate: make(chan struct{})}
	g := &group[int]{write: r.write}
	failed := make(chan error, 50)
	var all sync.WaitGroup
	for n := range cap(failed) {
		all.Go(func() {
			item := n
			if n%10 == 0 {
				item = poison
			}
			if err := g.do(t.Context(), item); err != nil {
				failed <- err
			}
		})
	}
	close(r.gate)
	all.Wait()
	close(failed)
	count := 0
	for err := range failed {
		if count++; !errors.Is(err, errPoison) {
			t.Error(err)
		}
	}
	if count != 5 || len(r.written) != 45 {
		t.Errorf("%d failed, %d written", count, len(r.written))
	}
}

// Those who give up leave nobody waiting, whoever's turn it was.
func TestWhoGivesUpHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	r := &recorder{gate: make(chan struct{})}
	g := &group[int]{write: r.write}
	var all sync.WaitGroup
	for n := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		all.Go(func() {
			defer cancel()
			if err := g.do(ctx, n); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		if n%2 == 0 {
			all.Go(cancel)
		}
	}
	close(r.gate)
	all.Wait()
	if err := g.do(t.Context(), 1000); err != nil || !slices.Contains(r.written, 1000) {
		t.Errorf("it was not written: %v", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.writers != 0 || len(g.waiting) != 0 {
		t.Errorf("%d writers and %d waiting are left", g.writers, len(g.waiting))
	}
}
