package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"encore.dev/rlog"
	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	heartbeat      = 10 * time.Second
	dialWithin     = 10 * time.Second
	reconnectFirst = 200 * time.Millisecond
	reconnectMost  = 10 * time.Second
)

// Rabbit is the broker over RabbitMQ. It keeps one connection and, whenever that is lost, makes a new
// one with topology and consumers.
type Rabbit struct {
	url      string
	topology Topology

	subscribing sync.Mutex // so that a new link and a new consumer do not miss each other

	mu        sync.Mutex
	link      *link         // nil while there is no connection
	changed   chan struct{} // closed when link changes
	consumers []*Consumer
	draining  atomic.Bool

	tasks     context.Context // of the handlers
	endTasks  context.CancelFunc
	handlers  sync.WaitGroup
	supervise context.CancelFunc
	over      chan struct{} // the supervisor has returned
}

var _ Broker = (*Rabbit)(nil)

// link is one connection and what hangs on it.
type link struct {
	conn      *amqp.Connection
	publisher *publisher
	open      []subscription
}

type subscription struct {
	ch  *amqp.Channel
	tag string
}

// NewRabbit makes a broker that is not connected yet.
func NewRabbit(url string, t Topology) *Rabbit {
	r := &Rabbit{url: url, topology: t, changed: make(chan struct{}), over: make(chan struct{})}
	r.tasks, r.endTasks = context.WithCancel(context.Background())
	return r
}

// Open connects and declares the topology. Later losses are mended; a RabbitMQ that is not there at
// the start is an error.
func (r *Rabbit) Open(context.Context) error {
	if _, err := amqp.ParseURI(r.url); err != nil { // its text may repeat the password
		return errors.New("broker: RABBITMQ_URL is not an AMQP URL (amqp://user:password@host:port/vhost)")
	}
	l, err := r.dial()
	if err != nil {
		return fmt.Errorf("broker: RABBITMQ_URL names a RabbitMQ that cannot be used: %w", err)
	}
	r.setLink(l)
	ctx, cancel := context.WithCancel(context.Background())
	r.supervise = cancel
	go r.keepConnected(ctx, l)
	return nil
}

func (r *Rabbit) dial() (*link, error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(r.topology.Prefix)
	conn, err := amqp.DialConfig(r.url, amqp.Config{
		Heartbeat:  heartbeat,
		Properties: properties,
		Dial: func(network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{Timeout: dialWithin}).Dial(network, addr)
			if err != nil {
				return nil, err
			}
			return conn, conn.SetDeadline(time.Now().Add(dialWithin)) // heartbeats move it after the handshake
		},
	})
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn}
	if err = r.topology.declare(conn); err == nil {
		l.publisher, err = newPublisher(conn)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

// keepConnected replaces the link whenever it is lost, until ctx ends.
func (r *Rabbit) keepConnected(ctx context.Context, l *link) {
	defer close(r.over)
	for l != nil {
		lost := l.conn.NotifyClose(make(chan *amqp.Error, 1)) // closed at once if it is lost already
		select {
		case <-ctx.Done():
			l.conn.Close()
			l.publisher.wait()
			return
		case reason := <-lost:
			r.setLink(nil)
			l.publisher.wait()
			rlog.Warn("connection to RabbitMQ lost", "err", reason)
		}
		l = r.redial(ctx)
	}
}

func (r *Rabbit) redial(ctx context.Context) *link {
	for delay := reconnectFirst; ; delay = min(2*delay, reconnectMost) {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay/2 + rand.N(delay/2)):
		}
		l, err := r.dial()
		if err == nil {
			err = r.resume(l)
		}
		if err == nil {
			rlog.Info("connection to RabbitMQ is back")
			return l
		}
		rlog.Warn("RabbitMQ cannot be reached", "err", err)
	}
}

// resume starts on a new link the consumers that the old one had, and makes it the one in use.
func (r *Rabbit) resume(l *link) error {
	r.subscribing.Lock()
	defer r.subscribing.Unlock()
	r.mu.Lock()
	consumers, draining := r.consumers, r.draining.Load()
	r.mu.Unlock()
	if draining {
		consumers = nil
	}
	for _, c := range consumers {
		if err := r.subscribe(l, c); err != nil {
			l.conn.Close()
			l.publisher.wait()
			return err
		}
	}
	r.setLink(l)
	return nil
}

func (r *Rabbit) setLink(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.link = l
	close(r.changed)
	r.changed = make(chan struct{})
}

// connected waits for a connection other than lost, which may be nil.
func (r *Rabbit) connected(ctx context.Context, lost *link) (*link, error) {
	for {
		r.mu.Lock()
		l, changed := r.link, r.changed
		r.mu.Unlock()
		if l != nil && l != lost {
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ErrClosed
		}
	}
}

// Close ends the connection.
func (r *Rabbit) Close() error {
	r.endTasks()
	if r.supervise == nil {
		return nil
	}
	r.supervise()
	<-r.over
	r.setLink(nil)
	return nil
}

// Health says whether there is a connection.
func (r *Rabbit) Health() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.link == nil {
		return ErrClosed
	}
	return nil
}

// Stats asks RabbitMQ about every queue.
func (r *Rabbit) Stats(ctx context.Context) ([]Stats, error) {
	l, err := r.connected(ctx, nil)
	if err != nil {
		return nil, err
	}
	ch, err := l.conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("broker: stats: %w", err)
	}
	defer ch.Close()
	out := make([]Stats, 0, len(r.topology.Queues))
	for _, name := range r.topology.Queues {
		work, err := ch.QueueDeclarePassive(r.topology.queue(name), true, false, false, false, nil)
		if err != nil {
			return nil, fmt.Errorf("broker: stats of %s: %w", name, err)
		}
		buried, err := ch.QueueDeclarePassive(r.topology.deadQueue(name), true, false, false, false, nil)
		if err != nil {
			return nil, fmt.Errorf("broker: stats of %s: %w", name, err)
		}
		out = append(out, Stats{Queue: name, Depth: work.Messages, Consumers: work.Consumers, Dead: buried.Messages})
	}
	return out, nil
}
