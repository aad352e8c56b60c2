package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// rabbitURL is a real RabbitMQ's. Without one these tests prove nothing, and say so.
func rabbitURL(t testing.TB) string {
	t.Helper()
	url := os.Getenv("RABBITMQ_URL")
	if url == "" {
		t.Skip("NOT RUN: the broker over RabbitMQ; RABBITMQ_URL names no server")
	}
	return url
}

// rabbit is a broker whose topology ends with the test.
func rabbit(t testing.TB, url, through string, top Topology) Broker {
	t.Helper()
	b := NewRabbit(through, top)
	t.Cleanup(func() { remove(t, url, top) })
	return opened(t, b)
}

func remove(t testing.TB, url string, top Topology) {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	queues, exchanges := []string{}, []string{top.exchange()}
	for _, q := range top.Queues {
		queues = append(queues, top.queue(q), top.deadQueue(q))
	}
	for _, d := range top.Ladder {
		queues, exchanges = append(queues, top.retry(d)), append(exchanges, top.retry(d))
	}
	for _, q := range queues {
		if _, err := ch.QueueDelete(q, false, false, false); err != nil {
			t.Error(err)
		}
	}
	for _, x := range exchanges {
		if err := ch.ExchangeDelete(x, false, false); err != nil {
			t.Error(err)
		}
	}
}

func TestRabbit(t *testing.T) {
	t.Parallel()
	url := rabbitURL(t)
	testBroker(t, func(t *testing.T, top Topology) Broker { return rabbit(t, url, url, top) })
}

func TestARabbitThatCannotBeUsedIsNamed(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"amqp://u:hunter2@127.0.0.1:1/", "amqp://u:hunter2@host:port/%zz"} {
		err := NewRabbit(url, Topology{Prefix: "t"}).Open(t.Context())
		if err == nil || !strings.Contains(err.Error(), "RABBITMQ_URL") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
}

var small = Ladder{50 * time.Millisecond}

// What is being handled when the connection goes is delivered again, and what is published afterwards
// arrives.
func TestRabbitReconnects(t *testing.T) {
	t.Parallel()
	real := rabbitURL(t)
	p := newProxy(t, real)
	got, cut := make(chan string, 10), make(chan struct{})
	top := Topology{Prefix: "test-reconnect", Queues: []string{"work"}, Ladder: small}
	h := harness{t: t, Broker: rabbit(t, real, p.url, top)}
	h.consume(nil, func(_ context.Context, m Message) error {
		got <- m.ID
		if m.ID == "in flight" {
			<-cut
		}
		return nil
	})
	h.publish("in flight")
	receive(t, got)
	p.cut(true)
	close(cut)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := h.Publish(ctx, "work", Message{ID: "refused"}); err == nil {
		t.Fatal("a message was taken without a broker")
	}
	p.cut(false)
	h.publish("after")
	for seen := map[string]bool{}; !seen["in flight"] || !seen["after"]; {
		seen[receive(t, got)] = true
	}
	if err := h.Health(); err != nil {
		t.Fatal(err)
	}
}

// Connections are cut while batches are on their way: what Publish said was safe arrives.
func TestRabbitLosesNothingThatItTook(t *testing.T) {
	t.Parallel()
	real := rabbitURL(t)
	p := newProxy(t, real)
	top := Topology{Prefix: "test-cuts", Queues: []string{"work"}, Ladder: small}
	h := harness{t: t, Broker: rabbit(t, real, p.url, top)}
	var mu sync.Mutex
	arrived, taken := map[string]bool{}, map[string]bool{}
	h.consume(func(c *Consumer) { c.Prefetch = 50 }, func(_ context.Context, m Message) error {
		mu.Lock()
		arrived[m.ID] = true
		mu.Unlock()
		return nil
	})
	stop := make(chan struct{})
	var publishers sync.WaitGroup
	for w := range 4 {
		publishers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := strconv.Itoa(w) + "-" + strconv.Itoa(n)
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				if h.Publish(ctx, "work", Message{ID: id + "a"}, Message{ID: id + "b"}) == nil {
					mu.Lock()
					taken[id+"a"], taken[id+"b"] = true, true
					mu.Unlock()
				}
				cancel()
			}
		})
	}
	for range 4 {
		<-time.After(300 * time.Millisecond)
		p.cut(false)
	}
	close(stop)
	publishers.Wait()
	deadline, tick := time.After(patience), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	missing := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for id := range taken {
			if !arrived[id] {
				n++
			}
		}
		return n
	}
	for missing() > 0 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d of %d never arrived", missing(), len(taken))
		}
	}
	if len(taken) < 10 {
		t.Fatalf("only %d messages: this proved nothing", len(taken))
	}
	t.Logf("%d messages taken over 4 cuts, all arrived", len(taken))
}

// A handler that the shutdown cuts off leaves its message to the next process.
func TestRabbitKeepsWhatAShutdownCutsOff(t *testing.T) {
	t.Parallel()
	url := rabbitURL(t)
	top := Topology{Prefix: "test-cutoff", Queues: []string{"work"}, Ladder: small}
	started, again := make(chan struct{}, 1), make(chan int, 1)
	first := harness{t: t, Broker: opened(t, NewRabbit(url, top))}
	first.consume(nil, func(ctx context.Context, _ Message) error {
		started <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	first.publish("1")
	receive(t, started)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(first.Drain(over), first.Close()); err != nil {
		t.Fatal(err)
	}
	next := harness{t: t, Broker: rabbit(t, url, url, top)}
	next.consume(nil, func(_ context.Context, m Message) error { again <- m.Attempt; return nil })
	if attempt := receive(t, again); attempt != 1 {
		t.Fatalf("attempt %d: one that was cut off does not count", attempt)
	}
}

// proxy stands between a broker and RabbitMQ.
type proxy struct {
	url, target string

	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func newProxy(t *testing.T, url string) *proxy {
	t.Helper()
	uri, err := amqp.ParseURI(url)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))}
	uri.Host, uri.Port = "127.0.0.1", l.Addr().(*net.TCPAddr).Port
	p.url = uri.String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); p.cut(true); serving.Wait() })
	return p
}

func (p *proxy) serve(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer out.Close()
	p.mu.Lock()
	down := p.down
	p.conns = append(p.conns, in, out)
	p.mu.Unlock()
	if down {
		return
	}
	over := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() { io.Copy(pair[0], pair[1]); over <- struct{}{} }()
	}
	<-over
	in.Close()
	out.Close()
	<-over
}

// cut breaks every connection; while it is down, new ones break at once.
func (p *proxy) cut(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}
