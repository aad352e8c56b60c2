//go:build stockhost

package broker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// harness makes transports of one kind for the suite.
type harness struct {
	make func(t Topology) Transport
	dead func(t *testing.T, tr Transport, s *Subscription, n int) []DeadLetter
}

// Every transport must pass this suite.
func testTransport(t *testing.T, h harness) {
	for name, test := range map[string]func(*testing.T, harness){
		"every subscription gets its copy":           testFanOut,
		"a topic without subscriptions takes any":    testNoSubscriptions,
		"what was published arrives unchanged":       testFidelity,
		"a failure is retried after the back-off":    testRetry,
		"an exhausted message is a dead letter":      testExhausted,
		"a panic is a failure":                       testPanic,
		"no retries means none":                      testNoRetries,
		"infinite retries go on":                     testInfinite,
		"an old message is a dead letter":            testExpired,
		"concurrency is used and bounded":            testConcurrency,
		"the ack deadline ends the context":          testAckDeadline,
		"a slow retry does not hold up others":       testRetryDoesNotBlock,
		"drain waits for handlers":                   testDrainWaits,
		"drain forces handlers in the end":           testDrainForces,
		"messages published before Consume are kept": testPublishFirst,
		"many publishers at once":                    testManyPublishers,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, h)
		})
	}
}

const patience = 20 * time.Second

// subscription has short delays and a topic of its own.
func subscription(handle func(context.Context, *Message) error) *Subscription {
	return &Subscription{
		Topic: "t" + strings.ToLower(rand.Text()[:10]), Name: "sub", Concurrency: 4,
		AckDeadline: 5 * time.Second, Retention: time.Hour,
		MinBackoff: 50 * time.Millisecond, MaxBackoff: 200 * time.Millisecond, MaxRetries: 2,
		Handle: handle,
	}
}

func topology(subs ...*Subscription) Topology {
	var top Topology
	for _, s := range subs {
		if !slices.Contains(top.Topics, s.Topic) {
			top.Topics = append(top.Topics, s.Topic)
		}
		top.Subscriptions = append(top.Subscriptions, s)
	}
	return top
}

func (h harness) open(t *testing.T, top Topology) Transport {
	t.Helper()
	tr := h.make(top)
	if err := tr.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		forced, force := context.WithCancel(ctx)
		force()
		if err := errors.Join(tr.Drain(forced, ctx), tr.Close()); err != nil {
			t.Error(err)
		}
	})
	return tr
}

func (h harness) start(t *testing.T, subs ...*Subscription) Transport {
	t.Helper()
	tr := h.open(t, topology(subs...))
	if err := tr.Consume(); err != nil {
		t.Fatal(err)
	}
	return tr
}

func publish(t *testing.T, tr Transport, topic, id string) {
	t.Helper()
	if err := tr.Publish(t.Context(), &Message{ID: id, Topic: topic, Body: []byte(`{}`), Published: time.Now()}); err != nil {
		t.Fatal(err)
	}
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func testFanOut(t *testing.T, h harness) {
	got := make(chan string, 10)
	a := subscription(func(_ context.Context, m *Message) error { got <- "a:" + m.ID; return nil })
	b := subscription(func(_ context.Context, m *Message) error { got <- "b:" + m.ID; return nil })
	b.Topic, b.Name = a.Topic, "other"
	tr := h.start(t, a, b)
	publish(t, tr, a.Topic, "1")
	publish(t, tr, a.Topic, "2")
	var all []string
	for range 4 {
		all = append(all, receive(t, got))
	}
	slices.Sort(all)
	if want := "a:1 a:2 b:1 b:2"; strings.Join(all, " ") != want {
		t.Fatalf("got %q, want %q", all, want)
	}
}

func testNoSubscriptions(t *testing.T, h harness) {
	topic := subscription(nil).Topic
	tr := h.open(t, Topology{Topics: []string{topic}})
	publish(t, tr, topic, "1")
}

func testFidelity(t *testing.T, h harness) {
	got := make(chan Message, 1)
	s := subscription(func(_ context.Context, m *Message) error { got <- *m; return nil })
	tr := h.start(t, s)
	sent := Message{
		ID: "id-1", Topic: s.Topic, Body: []byte(`{"ä":"\u0000"}`), Published: time.Now().Round(0),
		Attrs: map[string]string{"org-id": "acme"}, TraceID: "trace", RequestID: "request",
	}
	if err := tr.Publish(t.Context(), &sent); err != nil {
		t.Fatal(err)
	}
	m := receive(t, got)
	same := m.ID == sent.ID && m.Topic == sent.Topic && string(m.Body) == string(sent.Body) && m.Published.Equal(sent.Published) &&
		m.Attrs["org-id"] == "acme" && len(m.Attrs) == 1 && m.TraceID == "trace" && m.RequestID == "request" && m.Attempt == 1
	if !same {
		t.Fatalf("sent %+v, got %+v", sent, m)
	}
}

func testRetry(t *testing.T, h harness) {
	type try struct {
		id      string
		attempt int
		at      time.Time
	}
	tries := make(chan try, 10)
	s := subscription(func(_ context.Context, m *Message) error {
		tries <- try{m.ID, m.Attempt, time.Now()}
		if m.Attempt < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	tr := h.start(t, s)
	publish(t, tr, s.Topic, "1")
	var last time.Time
	for i := range 3 {
		got := receive(t, tries)
		if got.id != "1" || got.attempt != i+1 {
			t.Fatalf("try %d: %+v", i+1, got)
		}
		if wait := s.MinBackoff << max(0, i-1); i > 0 && got.at.Sub(last) < wait-5*time.Millisecond {
			t.Errorf("try %d came after %s, want at least %s", i+1, got.at.Sub(last), wait)
		}
		last = got.at
	}
}

func testExhausted(t *testing.T, h harness) {
	var tries atomic.Int32
	s := subscription(func(context.Context, *Message) error { tries.Add(1); return errors.New("never works") })
	tr := h.start(t, s)
	publish(t, tr, s.Topic, "1")
	d := h.dead(t, tr, s, 1)[0]
	if tries.Load() != 3 || d.Message.ID != "1" || d.Message.Attempt != 3 || d.Reason != Exhausted || d.Error != "never works" || d.At.IsZero() {
		t.Fatalf("%d tries, dead letter %+v", tries.Load(), d)
	}
}

func testPanic(t *testing.T, h harness) {
	s := subscription(func(context.Context, *Message) error { panic("boom") })
	s.MaxRetries = 1
	tr := h.start(t, s)
	publish(t, tr, s.Topic, "1")
	if d := h.dead(t, tr, s, 1)[0]; d.Error != "panic: boom" || d.Message.Attempt != 2 {
		t.Fatalf("dead letter %+v", d)
	}
}

func testNoRetries(t *testing.T, h harness) {
	s := subscription(func(context.Context, *Message) error { return errors.New("no") })
	s.MaxRetries = 0
	tr := h.start(t, s)
	publish(t, tr, s.Topic, "1")
	if d := h.dead(t, tr, s, 1)[0]; d.Message.Attempt != 1 {
		t.Fatalf("dead letter %+v", d)
	}
}

func testInfinite(t *testing.T, h harness) {
	tries := make(chan int, 100)
	s := subscription(func(_ context.Context, m *Message) error { tries <- m.Attempt; return errors.New("no") })
	s.MaxRetries, s.MaxBackoff = Infinite, s.MinBackoff
	tr := h.start(t, s)
	publish(t, tr, s.Topic, "1")
	for want := 1; want <= 5; want++ {
		if got := receive(t, tries); got != want {
			t.Fatalf("attempt %d, want %d", got, want)
		}
	}
}

func testExpired(t *testing.T, h harness) {
	s := subscription(func(context.Context, *Message) error { t.Error("an old message was delivered"); return nil })
	tr := h.start(t, s)
	old := &Message{ID: "1", Topic: s.Topic, Body: []byte(`{}`), Published: time.Now().Add(-2 * s.Retention)}
	if err := tr.Publish(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if d := h.dead(t, tr, s, 1)[0]; d.Reason != Expired {
		t.Fatalf("dead letter %+v", d)
	}
}

func testConcurrency(t *testing.T, h harness) {
	var running, most atomic.Int32
	started, release := make(chan struct{}, 20), make(chan struct{})
	s := subscription(func(context.Context, *Message) error {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		started <- struct{}{}
		<-release
		return nil
	})
	tr := h.start(t, s)
	for i := range 12 {
		publish(t, tr, s.Topic, fmt.Sprint(i))
	}
	for range s.Concurrency {
		receive(t, started)
	}
	close(release)
	for range 12 - s.Concurrency {
		receive(t, started)
	}
	if most.Load() != int32(s.Concurrency) {
		t.Fatalf("at most %d ran together, want %d", most.Load(), s.Concurrency)
	}
}

func testAckDeadline(t *testing.T, h harness) {
	ended := make(chan error, 1)
	s := subscription(func(ctx context.Context, _ *Message) error {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil
	})
	s.AckDeadline = 50 * time.Millisecond
	tr := h.start(t, s)
	publish(t, tr, s.Topic, "1")
	if err := receive(t, ended); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func testRetryDoesNotBlock(t *testing.T, h harness) {
	good := make(chan string, 1)
	s := subscription(func(_ context.Context, m *Message) error {
		if m.ID == "bad" {
			return errors.New("no")
		}
		good <- m.ID
		return nil
	})
	s.Concurrency, s.MinBackoff, s.MaxBackoff = 1, time.Hour, time.Hour
	tr := h.start(t, s)
	publish(t, tr, s.Topic, "bad")
	publish(t, tr, s.Topic, "good")
	receive(t, good)
}

func testDrainWaits(t *testing.T, h harness) {
	started, release := make(chan struct{}), make(chan struct{})
	var finished atomic.Bool
	s := subscription(func(context.Context, *Message) error {
		close(started)
		<-release
		finished.Store(true)
		return nil
	})
	tr := h.start(t, s)
	publish(t, tr, s.Topic, "1")
	receive(t, started)
	drained := make(chan error, 1)
	go func() { drained <- tr.Drain(context.Background(), context.Background()) }()
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

func testDrainForces(t *testing.T, h harness) {
	started := make(chan struct{})
	s := subscription(func(ctx context.Context, _ *Message) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	})
	tr := h.start(t, s)
	publish(t, tr, s.Topic, "1")
	receive(t, started)
	force, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	giveUp, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := tr.Drain(force, giveUp); err != nil {
		t.Fatal(err)
	}
}

func testPublishFirst(t *testing.T, h harness) {
	got := make(chan string, 1)
	s := subscription(func(_ context.Context, m *Message) error { got <- m.ID; return nil })
	tr := h.open(t, topology(s))
	publish(t, tr, s.Topic, "early")
	if err := tr.Consume(); err != nil {
		t.Fatal(err)
	}
	receive(t, got)
}

func testManyPublishers(t *testing.T, h harness) {
	const publishers, each = 8, 25
	var mu sync.Mutex
	seen := map[string]int{}
	all := make(chan struct{})
	s := subscription(func(_ context.Context, m *Message) error {
		var id string
		if err := json.Unmarshal(m.Body, &id); err != nil || id != m.ID {
			return fmt.Errorf("body %s of %s", m.Body, m.ID)
		}
		mu.Lock()
		defer mu.Unlock()
		if seen[m.ID]++; len(seen) == publishers*each {
			close(all)
		}
		return nil
	})
	tr := h.start(t, s)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", p, i)
				body, _ := json.Marshal(id)
				if err := tr.Publish(t.Context(), &Message{ID: id, Topic: s.Topic, Body: body, Published: time.Now()}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	receive(t, all)
}
