//go:build stockhost

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

	"encore.dev/internal/part"
)

// rabbitURL is a real broker's. Without one these tests prove nothing, and say so.
func rabbitURL(t *testing.T) string {
	t.Helper()
	url := os.Getenv("TEST_RABBITMQ_URL")
	if url == "" {
		t.Skip("NOT RUN: RabbitMQ transport; set TEST_RABBITMQ_URL to a broker 3.10 or later")
	}
	return url
}

func TestRabbit(t *testing.T) {
	t.Parallel()
	url := rabbitURL(t)
	testTransport(t, harness{
		make: func(top Topology) Transport {
			t.Cleanup(func() { deleteTopology(t, url, top) })
			return NewRabbit(RabbitConfig{URL: url, Variable: "TEST_RABBITMQ_URL", Topology: top})
		},
		dead: func(t *testing.T, _ Transport, s *Subscription, n int) []DeadLetter {
			return deadInRabbit(t, url, s, n)
		},
	})
}

func channel(t *testing.T, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func deadInRabbit(t *testing.T, url string, s *Subscription, n int) []DeadLetter {
	t.Helper()
	deliveries, err := channel(t, url).Consume(deadName(s), "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	var list []DeadLetter
	for len(list) < n {
		d := receive(t, deliveries)
		letter := DeadLetter{Message: *decode(s.Topic, &d)}
		reason, _ := d.Headers[headerReason].(string)
		letter.Reason = Reason(reason)
		letter.Error, _ = d.Headers[headerError].(string)
		at, _ := d.Headers[headerDiedAt].(string)
		letter.At, _ = time.Parse(time.RFC3339, at)
		list = append(list, letter)
	}
	return list
}

func deleteTopology(t *testing.T, url string, top Topology) {
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close() //nolint:errcheck // test
	ch, err := conn.Channel()
	if err != nil {
		t.Error(err)
		return
	}
	for _, s := range top.Subscriptions {
		for _, q := range []string{queueName(s), deadName(s)} {
			if _, err := ch.QueueDelete(q, false, false, false); err != nil {
				t.Error(err)
			}
		}
	}
	for _, topic := range top.Topics {
		if err := ch.ExchangeDelete(exchangeName(topic), false, false); err != nil {
			t.Error(err)
		}
	}
}

func TestRabbitSetButUnusable(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"nobody listens there": "amqp://u:hunter2@127.0.0.1:1/",
		"not a URL":            "amqp://u:hunter2@host:port/%zz",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := NewRabbit(RabbitConfig{URL: url, Variable: "RABBITMQ_URL"}).Open(t.Context())
			if e := (*part.Error)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), "RABBITMQ_URL") || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("err = %v", err)
			}
		})
	}
}

// What was published while the broker was away from one process, and what was
// being handled when the connection went, is delivered once it is back.
func TestRabbitReconnects(t *testing.T) {
	t.Parallel()
	real := rabbitURL(t)
	p := newProxy(t, real)
	got, cut := make(chan string, 10), make(chan struct{})
	s := subscription(func(_ context.Context, m *Message) error {
		got <- m.ID
		if m.ID == "in flight" {
			<-cut
		}
		return nil
	})
	top := topology(s)
	t.Cleanup(func() { deleteTopology(t, real, top) })
	tr := harness{make: func(top Topology) Transport { return NewRabbit(RabbitConfig{URL: p.url, Variable: "X", Topology: top}) }}.start(t, s)

	publish(t, tr, s.Topic, "in flight")
	receive(t, got)
	p.cut(true)
	close(cut)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := tr.Publish(ctx, &Message{ID: "refused", Topic: s.Topic, Published: time.Now()}); err == nil {
		t.Fatal("a message was taken without a broker")
	}
	p.cut(false)
	publish(t, tr, s.Topic, "after")
	seen := map[string]bool{}
	for !seen["in flight"] || !seen["after"] {
		seen[receive(t, got)] = true
	}
	if err := tr.Health(); err != nil {
		t.Fatal(err)
	}
}

func TestRabbitUnroutable(t *testing.T) {
	t.Parallel()
	url := rabbitURL(t)
	s := subscription(func(context.Context, *Message) error { return nil })
	top := topology(s)
	tr := harness{make: func(top Topology) Transport { return NewRabbit(RabbitConfig{URL: url, Variable: "X", Topology: top}) }}.open(t, top)
	deleteTopology(t, url, Topology{Subscriptions: top.Subscriptions})
	err := tr.Publish(t.Context(), &Message{ID: "1", Topic: s.Topic, Published: time.Now()})
	if !errors.Is(err, errReturned) {
		t.Fatalf("err = %v, want %v", err, errReturned)
	}
}

// A handler that is cut off by the shutdown leaves its message to the next process.
func TestRabbitKeepsWhatAShutdownCutsOff(t *testing.T) {
	t.Parallel()
	url := rabbitURL(t)
	started, again := make(chan struct{}, 1), make(chan int, 1)
	s := subscription(func(ctx context.Context, _ *Message) error {
		started <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	top := topology(s)
	t.Cleanup(func() { deleteTopology(t, url, top) })
	h := harness{make: func(top Topology) Transport { return NewRabbit(RabbitConfig{URL: url, Variable: "X", Topology: top}) }}
	first := h.start(t, s)
	publish(t, first, s.Topic, "1")
	receive(t, started)
	forced, force := context.WithCancel(t.Context())
	force()
	if err := first.Drain(forced, t.Context()); err != nil {
		t.Fatal(err)
	}
	next := *s
	next.Handle = func(_ context.Context, m *Message) error { again <- m.Attempt; return nil }
	h.start(t, &next)
	if attempt := receive(t, again); attempt != 1 {
		t.Fatalf("attempt %d, want 1: a cut-off attempt does not count", attempt)
	}
}

// proxy stands between the transport and the broker.
type proxy struct {
	url    string
	target string

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
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); p.cut(true); wg.Wait() })
	return p
}

func (p *proxy) serve(in net.Conn) {
	defer in.Close() //nolint:errcheck // test
	out, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer out.Close() //nolint:errcheck // test
	p.mu.Lock()
	down := p.down
	p.conns = append(p.conns, in, out)
	p.mu.Unlock()
	if down {
		return
	}
	both := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() { _, _ = io.Copy(pair[0], pair[1]); both <- struct{}{} }()
	}
	<-both
	_ = in.Close()
	_ = out.Close()
	<-both
}

// cut breaks all connections; while down, new ones break at once.
func (p *proxy) cut(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}
