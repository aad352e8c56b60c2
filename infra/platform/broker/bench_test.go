package broker

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// floor is how much of a bare loop's speed the broker must keep, with the same guarantees: persistent
// and mandatory messages to a quorum queue, returns read, every confirm waited for within the same
// window, every delivery acknowledged by itself.
const floor = 0.85

const (
	benchBatch  = 5000
	benchRounds = 7
)

// BenchmarkAgainstABareLoop interleaves both, so that a machine that slows down slows both down, and
// compares their medians. One iteration is all of it.
func BenchmarkAgainstABareLoop(b *testing.B) {
	url := rabbitURL(b)
	top := Topology{Prefix: "bench" + strings.ToLower(rand.Text()[:8]), Queues: []string{"work"}, Ladder: small}
	ours, bare := rabbit(b, url, url, top), newBare(b, url, top)
	for range b.N {
		var mine, its [2][]float64 // publish, consume
		for range benchRounds {
			its[0] = append(its[0], rate(func() { bare.publish(b) }))
			its[1] = append(its[1], bare.consume(b))
			mine[0] = append(mine[0], rate(func() { publishAll(b, ours) }))
			mine[1] = append(mine[1], consumeAll(b, url, top))
		}
		for i, what := range []string{"publish-confirm", "consume-ack"} {
			m, bareRate := median(mine[i]), median(its[i])
			fmt.Printf("%-16s broker %7.0f/s   bare amqp091-go %7.0f/s   ratio %.2f (floor %.2f)\n", what, m, bareRate, m/bareRate, floor)
			if m/bareRate < floor {
				b.Errorf("%s: %.2f of the bare loop, the floor is %.2f", what, m/bareRate, floor)
			}
		}
	}
}

func rate(do func()) float64 {
	start := time.Now()
	do()
	return benchBatch / time.Since(start).Seconds()
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

func publishAll(t testing.TB, b Broker) {
	messages := make([]Message, benchBatch)
	for i := range messages {
		messages[i] = Message{ID: fmt.Sprint(i), Body: benchBody}
	}
	if err := b.Publish(t.Context(), "work", messages...); err != nil {
		t.Fatal(err)
	}
}

var benchBody = []byte(`{"org_id":"00000000-0000-7000-8000-0000000000ac","id":"00000000-0000-7000-8000-00000000dead","lease":1,"attempt":1}`)

// benchPrefetch is what both consumers have on their way.
const benchPrefetch = 128

// consumeAll takes the batch with a consumer of its own, so that both begin with a full queue.
func consumeAll(t testing.TB, url string, top Topology) float64 {
	b := NewRabbit(url, top)
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	var handled atomic.Int64
	done := make(chan struct{})
	c := Consumer{Queue: "work", Prefetch: benchPrefetch, Timeout: time.Minute, MaxAttempts: 3, Handle: func(context.Context, Message) error {
		if handled.Add(1) == benchBatch {
			close(done)
		}
		return nil
	}}
	r := rate(func() {
		if err := b.Consume(c); err != nil {
			t.Fatal(err)
		}
		receive(t, done)
	})
	if err := b.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	return r
}

// bareLoop is what one writes with amqp091-go and nothing else.
type bareLoop struct {
	url  string
	top  Topology
	conn *amqp.Connection
	ch   *amqp.Channel

	returned atomic.Int64
}

func newBare(t testing.TB, url string, top Topology) *bareLoop {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		t.Fatal(err)
	}
	l := &bareLoop{url: url, top: top, conn: conn, ch: ch}
	returns := ch.NotifyReturn(make(chan amqp.Return, 1))
	go func() {
		for range returns {
			l.returned.Add(1)
		}
	}()
	return l
}

func (l *bareLoop) publish(t testing.TB) {
	waiting := make([]*amqp.DeferredConfirmation, 0, benchBatch)
	for i := range benchBatch {
		if i >= window {
			if !waiting[i-window].Wait() {
				t.Fatal("refused")
			}
		}
		dc, err := l.ch.PublishWithDeferredConfirm(l.top.exchange(), "work", true, false, encode(first(Message{ID: fmt.Sprint(i), Body: benchBody})))
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, dc)
	}
	for _, dc := range waiting {
		if !dc.Wait() {
			t.Fatal("refused")
		}
	}
	if l.returned.Load() > 0 {
		t.Fatal("returned")
	}
}

func (l *bareLoop) consume(t testing.TB) float64 {
	conn, err := amqp.Dial(l.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Qos(benchPrefetch, 0, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return rate(func() {
		deliveries, err := ch.Consume(l.top.queue("work"), "bare", false, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for d := range deliveries {
			if decode(&d).ID == "" {
				t.Fatal("a message without an id")
			}
			if err := d.Ack(false); err != nil {
				t.Fatal(err)
			}
			if n++; n == benchBatch {
				return
			}
		}
		t.Fatal("the deliveries ended")
	})
}
