package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Every broker must pass this suite.
func testBroker(t *testing.T, open func(t *testing.T, top Topology) Broker) {
	for name, test := range map[string]func(t *testing.T, h harness){
		"what was published arrives unchanged":        testFidelity,
		"a failure comes back up the ladder":          testLadder,
		"a delay that was asked for is kept":          testRetryIn,
		"an exhausted message is a dead letter":       testExhausted,
		"a refused message is a dead letter at once":  testRefused,
		"a panic is a failure":                        testPanic,
		"a dead letter comes until it is taken over":  testDeadAgain,
		"prefetch is used and bounded":                testPrefetch,
		"the timeout ends the context":                testTimeout,
		"who waits on the ladder holds up nobody":     testRetryBlocksNobody,
		"drain waits for handlers":                    testDrainWaits,
		"drain cuts handlers off in the end":          testDrainCutsOff,
		"messages from before the consumer are kept":  testPublishFirst,
		"many publishers and batches lose nothing":    testManyPublishers,
		"a queue that does not exist takes nothing":   testNoQueue,
		"depth, consumers and dead letters are shown": testStats,
		"the id is the same on every delivery":        testDedup,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top := Topology{Prefix: "test" + strings.ToLower(rand.Text()[:8]), Queues: []string{"work", "other"},
				Ladder: Ladder{40 * time.Millisecond, 60 * time.Millisecond, 150 * time.Millisecond, 200 * time.Millisecond, time.Hour, time.Hour + time.Minute}}
			test(t, harness{t: t, Broker: open(t, top)})
		})
	}
}

const patience = 20 * time.Second

// harness is one broker and the test that it serves.
type harness struct {
	t *testing.T
	Broker
}

func (h harness) consume(edit func(*Consumer), handle func(context.Context, Message) error) {
	h.t.Helper()
	c := Consumer{Queue: "work", Prefetch: 4, Timeout: 5 * time.Second, MaxAttempts: 3, Handle: handle}
	if edit != nil {
		edit(&c)
	}
	if err := h.Consume(c); err != nil {
		h.t.Fatal(err)
	}
}

func (h harness) publish(ids ...string) {
	h.t.Helper()
	var messages []Message
	for _, id := range ids {
		messages = append(messages, Message{ID: id, Body: []byte(`{}`)})
	}
	if err := h.Publish(h.t.Context(), "work", messages...); err != nil {
		h.t.Fatal(err)
	}
}

func receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// burying is a Consumer whose dead letters go to a channel.
func burying(letters chan<- DeadLetter) func(*Consumer) {
	return func(c *Consumer) {
		c.Dead = func(_ context.Context, l DeadLetter) error { letters <- l; return nil }
	}
}

func testFidelity(t *testing.T, h harness) {
	got := make(chan Message, 1)
	h.consume(nil, func(_ context.Context, m Message) error { got <- m; return nil })
	sent := Message{ID: "id-1", Body: []byte(`{"ä":"\u0000"}`), Published: time.Now().Round(0)}
	if err := h.Publish(t.Context(), "work", sent); err != nil {
		t.Fatal(err)
	}
	m := receive(t, got)
	if m.ID != sent.ID || string(m.Body) != string(sent.Body) || !m.Published.Equal(sent.Published) || m.Attempt != 1 || !m.FirstFailed.IsZero() {
		t.Fatalf("sent %+v, got %+v", sent, m)
	}
}

func testLadder(t *testing.T, h harness) {
	type try struct {
		Message
		at time.Time
	}
	tries := make(chan try, 10)
	h.consume(nil, func(_ context.Context, m Message) error {
		tries <- try{m, time.Now()}
		if m.Attempt < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	h.publish("1")
	least := []time.Duration{0, 40 * time.Millisecond, 150 * time.Millisecond}
	var last, failed time.Time
	for i := range 3 {
		got := receive(t, tries)
		if got.ID != "1" || got.Attempt != i+1 {
			t.Fatalf("try %d: %+v", i+1, got)
		}
		if i > 0 && got.at.Sub(last) < least[i]-5*time.Millisecond {
			t.Errorf("try %d came after %s, want at least %s", i+1, got.at.Sub(last), least[i])
		}
		if i == 1 {
			failed = got.FirstFailed
		}
		if i > 0 && (got.FirstFailed.IsZero() || !got.FirstFailed.Equal(failed)) {
			t.Errorf("try %d: first failed at %s, want %s", i+1, got.FirstFailed, failed)
		}
		last = got.at
	}
}

func testRetryIn(t *testing.T, h harness) {
	tries := make(chan time.Time, 10)
	h.consume(func(c *Consumer) { c.MaxAttempts = 1 }, func(_ context.Context, m Message) error {
		tries <- time.Now()
		if m.Attempt < 3 {
			return RetryIn(150*time.Millisecond, errors.New("later")) // counts no attempt
		}
		return nil
	})
	h.publish("1")
	for last := receive(t, tries); len(tries) < 1; {
		next := receive(t, tries)
		if wait := next.Sub(last); wait < 145*time.Millisecond || wait > patience/2 {
			t.Fatalf("came again after %s", wait)
		}
		break
	}
	receive(t, tries)
}

func testExhausted(t *testing.T, h harness) {
	var tries atomic.Int32
	letters := make(chan DeadLetter, 1)
	h.consume(burying(letters), func(context.Context, Message) error { tries.Add(1); return errors.New("never works") })
	h.publish("1")
	l := receive(t, letters)
	if tries.Load() != 3 || l.Queue != "work" || l.ID != "1" || l.Attempt != 3 || l.Reason != Exhausted || l.Error != "never works" ||
		l.At.IsZero() || l.FirstFailed.IsZero() || l.At.Before(l.FirstFailed) {
		t.Fatalf("%d tries, dead letter %+v", tries.Load(), l)
	}
}

func testRefused(t *testing.T, h harness) {
	letters := make(chan DeadLetter, 1)
	h.consume(burying(letters), func(context.Context, Message) error { return fmt.Errorf("so: %w", GiveUp(errors.New("malformed"))) })
	h.publish("1")
	if l := receive(t, letters); l.Attempt != 1 || l.Reason != Refused || l.Error != "so: malformed" {
		t.Fatalf("dead letter %+v", l)
	}
}

func testPanic(t *testing.T, h harness) {
	letters := make(chan DeadLetter, 1)
	h.consume(burying(letters), func(context.Context, Message) error { panic("boom") })
	h.publish("1")
	if l := receive(t, letters); l.Error != "panic: boom" || l.Attempt != 3 {
		t.Fatalf("dead letter %+v", l)
	}
}

func testDeadAgain(t *testing.T, h harness) {
	var tries atomic.Int32
	taken := make(chan DeadLetter, 1)
	h.consume(func(c *Consumer) {
		c.Dead = func(_ context.Context, l DeadLetter) error {
			if tries.Add(1) == 1 {
				return errors.New("the database is away")
			}
			taken <- l
			return nil
		}
	}, func(context.Context, Message) error { return GiveUp(errors.New("no")) })
	h.publish("1")
	if l := receive(t, taken); l.ID != "1" || tries.Load() != 2 {
		t.Fatalf("%+v after %d tries", l, tries.Load())
	}
}

func testPrefetch(t *testing.T, h harness) {
	var running, most atomic.Int32
	started, release := make(chan struct{}, 20), make(chan struct{})
	h.consume(nil, func(context.Context, Message) error {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		started <- struct{}{}
		<-release
		return nil
	})
	for i := range 12 {
		h.publish(fmt.Sprint(i))
	}
	for range 4 {
		receive(t, started)
	}
	close(release)
	for range 8 {
		receive(t, started)
	}
	if most.Load() != 4 {
		t.Fatalf("at most %d ran together, want 4", most.Load())
	}
}

func testTimeout(t *testing.T, h harness) {
	ended := make(chan error, 1)
	h.consume(func(c *Consumer) { c.Timeout = 50 * time.Millisecond }, func(ctx context.Context, _ Message) error {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil
	})
	h.publish("1")
	if err := receive(t, ended); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func testRetryBlocksNobody(t *testing.T, h harness) {
	good := make(chan string, 1)
	h.consume(func(c *Consumer) { c.Prefetch = 1 }, func(_ context.Context, m Message) error {
		if m.ID == "bad" {
			return RetryIn(time.Hour, errors.New("no"))
		}
		good <- m.ID
		return nil
	})
	h.publish("bad")
	h.publish("good")
	receive(t, good)
}

func testDrainWaits(t *testing.T, h harness) {
	started, release := make(chan struct{}), make(chan struct{})
	var finished atomic.Bool
	h.consume(nil, func(context.Context, Message) error {
		close(started)
		<-release
		finished.Store(true)
		return nil
	})
	h.publish("1")
	receive(t, started)
	drained := make(chan error, 1)
	go func() { drained <- h.Drain(context.Background()) }()
	select {
	case err := <-drained:
		t.Fatal("drain did not wait:", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if err := receive(t, drained); err != nil || !finished.Load() {
		t.Fatal(err, finished.Load())
	}
}

func testDrainCutsOff(t *testing.T, h harness) {
	started := make(chan struct{})
	h.consume(nil, func(ctx context.Context, _ Message) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	})
	h.publish("1")
	receive(t, started)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := h.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}

func testPublishFirst(t *testing.T, h harness) {
	got := make(chan string, 1)
	h.publish("early")
	h.consume(nil, func(_ context.Context, m Message) error { got <- m.ID; return nil })
	receive(t, got)
}

func testManyPublishers(t *testing.T, h harness) {
	const publishers, batches, each = 8, 5, 300 // more together than the window
	var mu sync.Mutex
	seen := map[string]int{}
	all := make(chan struct{})
	h.consume(func(c *Consumer) { c.Prefetch = 100 }, func(_ context.Context, m Message) error {
		mu.Lock()
		defer mu.Unlock()
		if seen[m.ID]++; len(seen) == publishers*batches*each {
			close(all)
		}
		return nil
	})
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for b := range batches {
				var batch []Message
				for i := range each {
					batch = append(batch, Message{ID: fmt.Sprintf("%d-%d-%d", p, b, i), Body: []byte("1")})
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				if err := h.Publish(ctx, "work", batch...); err != nil {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	receive(t, all)
}

func testNoQueue(t *testing.T, h harness) {
	if err := h.Publish(t.Context(), "nowhere", Message{ID: "1"}); !errors.Is(err, ErrReturned) {
		t.Fatalf("got %v, want %v", err, ErrReturned)
	}
	h.publish("1") // and the broker is well
}

func testStats(t *testing.T, h harness) {
	h.publish("1", "2", "3")
	stats := func() map[string]Stats {
		all, err := h.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]Stats{}
		for _, s := range all {
			out[s.Queue] = s
		}
		return out
	}
	wait := func(what string, ok func(Stats) bool) {
		t.Helper()
		deadline, tick := time.After(patience), time.NewTicker(50*time.Millisecond)
		defer tick.Stop()
		for !ok(stats()["work"]) {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("%s: %+v", what, stats())
			}
		}
	}
	wait("three wait", func(s Stats) bool { return s.Depth == 3 && s.Consumers == 0 })
	if names := len(stats()); names != 2 {
		t.Errorf("%d queues, want 2", names)
	}
	h.consume(nil, func(context.Context, Message) error { return GiveUp(errors.New("no")) })
	wait("three are dead", func(s Stats) bool { return s.Depth == 0 && s.Consumers == 1 && s.Dead == 3 })
}

// A consumer that claims the id with its effect has the effect once, however often the message comes.
func testDedup(t *testing.T, h harness) {
	var mu sync.Mutex
	claimed, effects := map[string]bool{}, 0
	deliveries := make(chan string, 10)
	h.consume(nil, func(_ context.Context, m Message) error {
		mu.Lock()
		defer mu.Unlock()
		if !claimed[m.ID] {
			claimed[m.ID] = true
			effects++
		}
		deliveries <- m.ID
		if m.Attempt < 3 {
			return errors.New("the acknowledgement is lost")
		}
		return nil
	})
	h.publish("a")
	h.publish("a") // as a sweep does that takes it for forgotten
	ids := []string{}
	for range 6 {
		ids = append(ids, receive(t, deliveries))
	}
	mu.Lock()
	defer mu.Unlock()
	if effects != 1 || slices.ContainsFunc(ids, func(id string) bool { return id != "a" }) {
		t.Fatalf("%d effects of %v", effects, ids)
	}
}
