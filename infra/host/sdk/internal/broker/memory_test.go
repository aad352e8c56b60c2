//go:build stockhost

package broker

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	testTransport(t, harness{
		make: func(top Topology) Transport { return NewMemory(MemoryConfig{Topology: top, Consumes: true}) },
		dead: func(t *testing.T, tr Transport, s *Subscription, n int) []DeadLetter {
			t.Helper()
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for deadline := time.After(patience); ; {
				if d := tr.(*Memory).Dead(s.Topic, s.Name); len(d) >= n {
					return d
				}
				select {
				case <-tick.C:
				case <-deadline:
					t.Fatal("no dead letter")
				}
			}
		},
	})
}

func TestMemoryRefusesWhatNobodyHereDelivers(t *testing.T) {
	t.Parallel()
	s := subscription(func(context.Context, *Message) error { return nil })
	web := NewMemory(MemoryConfig{Topology: topology(s)})
	msg := &Message{ID: "1", Topic: s.Topic, Published: time.Now()}
	if err := web.Publish(t.Context(), msg); !errors.Is(err, ErrNoConsumer) {
		t.Fatalf("in a process without subscriptions: %v", err)
	}
	worker := NewMemory(MemoryConfig{Topology: topology(s), Consumes: true})
	if err := worker.Consume(); err != nil {
		t.Fatal(err)
	}
	if err := worker.Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := worker.Publish(t.Context(), msg); !errors.Is(err, ErrNoConsumer) {
		t.Fatalf("after the drain: %v", err)
	}
}

func TestMemoryPublishWaitsForRoom(t *testing.T) {
	t.Parallel()
	s := subscription(func(context.Context, *Message) error { return nil })
	other := subscription(s.Handle)
	other.Topic, other.Name = s.Topic, "other"
	m := NewMemory(MemoryConfig{Topology: topology(other, s), Consumes: true, Capacity: 1})
	publish(t, m, s.Topic, "1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Publish(ctx, &Message{ID: "2", Topic: s.Topic}); !errors.Is(err, context.Canceled) {
		t.Fatalf("a full queue took a message: %v", err)
	}
	for _, q := range m.topics[s.Topic] {
		if q.waiting() != 1 {
			t.Errorf("%s holds %d messages, want 1", q.sub.Name, q.waiting())
		}
	}
}

func TestMemoryKeepsTheLastDeadLetters(t *testing.T) {
	t.Parallel()
	q := newQueue(subscription(nil), deadKept+1)
	for range deadKept + 1 {
		if err := q.reserve(t.Context()); err != nil {
			t.Fatal(err)
		}
		q.settle(&Message{ID: time.Now().String()}, verdict{kind: dead, reason: Exhausted, err: errors.New("x")})
	}
	if n := len(q.deadLetters()); n != deadKept {
		t.Fatalf("%d dead letters, want %d", n, deadKept)
	}
	if len(q.slots) != 0 {
		t.Fatalf("%d slots are still taken", len(q.slots))
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	s := &Subscription{MinBackoff: time.Second, MaxBackoff: 5 * time.Second, MaxRetries: 100}
	for attempt, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 5 * time.Second, 1000: 5 * time.Second} {
		if got := s.backoff(attempt); got != want {
			t.Errorf("after attempt %d: %s, want %s", attempt, got, want)
		}
	}
	if steps := ladder([]*Subscription{s}); len(steps) != 4 {
		t.Errorf("ladder = %v", steps)
	}
}
