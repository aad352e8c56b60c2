package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"encore.dev/internal/part"
	"encore.dev/rlog"
)

const (
	heartbeat      = 10 * time.Second
	dialTimeout    = 10 * time.Second
	publishTimeout = 10 * time.Second // where the caller's context has no end
	reconnectFirst = 500 * time.Millisecond
	reconnectMax   = 30 * time.Second
)

var (
	errClosed   = errors.New("the broker connection is closed")
	errBlocked  = errors.New("the broker takes no messages at the moment")
	errNacked   = errors.New("the broker refused the message")
	errReturned = errors.New("no queue took the message")
)

// RabbitConfig configures a [Rabbit].
type RabbitConfig struct {
	URL      string
	Variable string // that URL came from, for error messages
	Topology Topology
}

// Rabbit is the transport over RabbitMQ 3.10 or later. It keeps one connection
// and makes a new one, topology and consumers included, whenever it is lost.
type Rabbit struct {
	cfg RabbitConfig

	mu        sync.Mutex
	link      *link         // nil while there is no connection
	changed   chan struct{} // closed when link changes
	consuming bool
	draining  bool

	tasks     context.Context // of the handlers
	endTasks  context.CancelFunc
	handlers  sync.WaitGroup
	supervise context.CancelFunc
	over      chan struct{} // the supervisor has returned
}

var _ Transport = (*Rabbit)(nil)

// link is one connection with what hangs on it.
type link struct {
	conn      *amqp.Connection
	publisher *publisher
	consumers []*consumer
}

// NewRabbit makes a transport that is not connected yet.
func NewRabbit(cfg RabbitConfig) *Rabbit {
	r := &Rabbit{cfg: cfg, changed: make(chan struct{}), over: make(chan struct{})}
	r.tasks, r.endTasks = context.WithCancel(context.Background())
	return r
}

// Open connects and declares the topology. Later losses are mended; a broker
// that is not there at the start is an error.
func (r *Rabbit) Open(context.Context) error {
	if _, err := amqp.ParseURI(r.cfg.URL); err != nil { // its message may quote the URL
		return &part.Error{Part: "RabbitMQ", Variable: r.cfg.Variable, Problem: "is not an AMQP URL (amqp://user:password@host:port/vhost)"}
	}
	l, err := r.dial()
	if err != nil {
		return &part.Error{Part: "RabbitMQ", Variable: r.cfg.Variable, Problem: "names a broker that cannot be used", Err: err}
	}
	r.setLink(l)
	ctx, cancel := context.WithCancel(context.Background())
	r.supervise = cancel
	go r.keepConnected(ctx, l)
	return nil
}

func (r *Rabbit) dial() (*link, error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName("host")
	conn, err := amqp.DialConfig(r.cfg.URL, amqp.Config{
		Heartbeat:  heartbeat,
		Dial:       amqp.DefaultDial(dialTimeout),
		Properties: properties,
	})
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn}
	if err := declare(conn, r.cfg.Topology); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if l.publisher, err = newPublisher(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return l, nil
}

// keepConnected replaces the link whenever it is lost, until ctx ends.
func (r *Rabbit) keepConnected(ctx context.Context, l *link) {
	defer close(r.over)
	for {
		lost := l.conn.NotifyClose(make(chan *amqp.Error, 1))
		if l.conn.IsClosed() { // before anyone listened
			closed := make(chan *amqp.Error)
			close(closed)
			lost = closed
		}
		select {
		case <-ctx.Done():
			_ = l.conn.Close()
			l.publisher.wait()
			return
		case reason := <-lost:
			r.setLink(nil)
			l.publisher.wait()
			cause := "closed"
			if reason != nil {
				cause = reason.Error()
			}
			rlog.Warn("connection to RabbitMQ lost", "error", cause)
		}
		if l = r.redial(ctx); l == nil {
			return
		}
		rlog.Info("connection to RabbitMQ is back")
	}
}

func (r *Rabbit) redial(ctx context.Context) *link {
	for delay := reconnectFirst; ; delay = min(2*delay, reconnectMax) {
		timer := time.NewTimer(delay/2 + rand.N(delay/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		l, err := r.dial()
		if err == nil {
			err = r.resume(l)
		}
		if err == nil {
			r.setLink(l)
			return l
		}
		rlog.Warn("RabbitMQ cannot be reached", "error", err)
	}
}

// resume starts the consumers on a new link, if they were running.
func (r *Rabbit) resume(l *link) error {
	r.mu.Lock()
	start := r.consuming && !r.draining
	r.mu.Unlock()
	if !start {
		return nil
	}
	if err := r.startConsumers(l); err != nil {
		_ = l.conn.Close()
		l.publisher.wait()
		return err
	}
	return nil
}

func (r *Rabbit) setLink(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.link = l
	close(r.changed)
	r.changed = make(chan struct{})
}

// next waits for a connection other than lost, which may be nil.
func (r *Rabbit) next(ctx context.Context, lost *link) (*link, error) {
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
			return nil, errClosed
		}
	}
}

func (r *Rabbit) Close() error {
	if r.supervise == nil {
		return nil
	}
	r.supervise()
	<-r.over
	r.setLink(nil)
	return nil
}

func (r *Rabbit) Health() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.link == nil {
		return errClosed
	}
	return nil
}
