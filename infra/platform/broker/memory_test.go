package broker

import (
	"context"
	"testing"
	"time"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	testBroker(t, func(t *testing.T, top Topology) Broker { return opened(t, NewMemory(top)) })
}

// opened is a broker that is ready, and ends with the test.
func opened(t testing.TB, b Broker) Broker {
	t.Helper()
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := b.Drain(ctx); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestAStepOfTheLadderIsOneOfTwoRungs(t *testing.T) {
	t.Parallel()
	l := Ladder{1, 2, 10, 20, 100, 200}
	for attempt, want := range map[int][2]time.Duration{1: {1, 2}, 2: {10, 20}, 3: {100, 200}, 9: {100, 200}} {
		seen := map[time.Duration]bool{}
		for range 100 {
			seen[l.After(attempt)] = true
		}
		if len(seen) != 2 || !seen[want[0]] || !seen[want[1]] {
			t.Errorf("attempt %d: %v, want both of %v", attempt, seen, want)
		}
	}
	if got := (Ladder{5}).After(3); got != 5 {
		t.Errorf("a ladder of one rung: %d", got)
	}
	for delay, want := range map[time.Duration]time.Duration{0: 1, 3: 10, 20: 20, 500: 200} {
		if got := l.rung(delay); got != want {
			t.Errorf("rung(%d) = %d, want %d", delay, got, want)
		}
	}
}
