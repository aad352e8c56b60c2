package broker

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// window is how many messages may be on their way without their confirm.
	window = 1000
	// publishWithin bounds a publish whose caller sets no bound.
	publishWithin = 10 * time.Second
)

// Publish returns when RabbitMQ has confirmed that a queue has every message on disk.
func (r *Rabbit) Publish(ctx context.Context, queue string, messages ...Message) error {
	batch := make([]amqp.Publishing, len(messages))
	for i, m := range messages {
		batch[i] = encode(first(m))
	}
	start := time.Now()
	err := r.send(ctx, r.topology.exchange(), queue, batch)
	if err != nil {
		publishedTotal.WithLabelValues(queue, "failed").Add(float64(len(messages)))
		return err
	}
	confirmed.Observe(time.Since(start).Seconds())
	publishedTotal.WithLabelValues(queue, "ok").Add(float64(len(messages)))
	return nil
}

// send publishes on the connection that there is, or the next one.
func (r *Rabbit) send(ctx context.Context, exchange, key string, batch []amqp.Publishing) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, publishWithin)
		defer cancel()
	}
	l, err := r.connected(ctx, nil)
	for err == nil {
		if err = l.publisher.publish(ctx, exchange, key, batch); !errors.Is(err, amqp.ErrClosed) {
			return err
		}
		l, err = r.connected(ctx, l) // lost before anything was sent, and nobody had noticed yet
	}
	return err
}

// publisher sends over one channel in confirm mode. Many callers may wait for confirms at once.
type publisher struct {
	ch      *amqp.Channel
	slots   chan struct{} // one taken for each message without its confirm
	blocked atomic.Bool
	over    sync.WaitGroup

	sending sync.Mutex // one sends at a time, in the order of the tags
	tag     uint64     // of the last message sent

	mu      sync.Mutex // never held while sending: confirms must be read meanwhile
	lost    bool
	pending [window]slot
}

// slot is a message on its way; it lies at its tag modulo the window.
type slot struct {
	wait     *wait
	returned bool
}

// wait is what one caller waits for: the confirms of a batch.
type wait struct {
	left atomic.Int64
	err  atomic.Pointer[error]
	done chan struct{}
}

func (w *wait) settle(err error) {
	if err != nil {
		w.err.CompareAndSwap(nil, &err)
	}
	if w.left.Add(-1) == 0 {
		close(w.done)
	}
}

func newPublisher(conn *amqp.Connection) (*publisher, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		return nil, err
	}
	p := &publisher{ch: ch, slots: make(chan struct{}, window)}
	// RabbitMQ sends the return of a message before its confirm. Returns have no buffer and are read by
	// the goroutine that reads the confirms: it has the return before the confirm is even in its buffer.
	returns, confirms := ch.NotifyReturn(make(chan amqp.Return)), ch.NotifyPublish(make(chan amqp.Confirmation, window))
	p.over.Go(func() { p.collect(returns, confirms) })
	blockings := conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	p.over.Go(func() {
		for b := range blockings {
			p.blocked.Store(b.Active)
		}
	})
	return p, nil
}

// wait waits for the publisher's goroutines, which end with the connection.
func (p *publisher) wait() { p.over.Wait() }

// publish sends a batch and waits for its confirms. amqp.ErrClosed says that nothing was sent.
func (p *publisher) publish(ctx context.Context, exchange, key string, batch []amqp.Publishing) error {
	if len(batch) == 0 {
		return nil
	}
	w := &wait{done: make(chan struct{})}
	w.left.Store(int64(len(batch)))
	for i := range batch {
		if err := p.sendOne(ctx, exchange, key, &batch[i], w); err != nil {
			if i == 0 {
				return err
			}
			if errors.Is(err, amqp.ErrClosed) {
				return ErrClosed // some were sent: whoever asks again must know it
			}
			return err
		}
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (p *publisher) sendOne(ctx context.Context, exchange, key string, message *amqp.Publishing, w *wait) error {
	if p.blocked.Load() {
		return ErrBlocked
	}
	select {
	case p.slots <- struct{}{}:
	default:
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.sending.Lock()
	defer p.sending.Unlock()
	tag := p.tag + 1
	if !p.expect(tag, w) {
		<-p.slots
		return amqp.ErrClosed
	}
	message.CorrelationId = strconv.FormatUint(tag, 10)
	if err := p.ch.PublishWithContext(context.Background(), exchange, key, true, false, *message); err != nil {
		p.take(tag)
		return err
	}
	p.tag = tag
	return nil
}

// expect notes who waits for a tag; false when the connection has gone.
func (p *publisher) expect(tag uint64, w *wait) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost {
		return false
	}
	p.pending[tag%window] = slot{wait: w}
	return true
}

// take frees the slot of a tag. It is the zero slot if nobody waits there any more.
func (p *publisher) take(tag uint64) slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.pending[tag%window]
	p.pending[tag%window] = slot{}
	if s.wait != nil {
		<-p.slots
	}
	return s
}

// collect tells every waiting caller what became of its messages.
func (p *publisher) collect(returns <-chan amqp.Return, confirms <-chan amqp.Confirmation) {
	for {
		select {
		case ret, ok := <-returns:
			if !ok {
				returns = nil
				continue
			}
			p.markReturned(ret)
		case c, ok := <-confirms:
			if !ok {
				p.fail()
				if returns != nil {
					for range returns { // until the channel's end closes it
					}
				}
				return
			}
			p.settle(c)
		}
	}
}

func (p *publisher) markReturned(ret amqp.Return) {
	tag, err := strconv.ParseUint(ret.CorrelationId, 10, 64)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.pending[tag%window].returned = true
	p.mu.Unlock()
}

func (p *publisher) settle(c amqp.Confirmation) {
	switch s := p.take(c.DeliveryTag); {
	case s.wait == nil:
	case !c.Ack:
		s.wait.settle(ErrRefused)
	case s.returned:
		s.wait.settle(ErrReturned)
	default:
		s.wait.settle(nil)
	}
}

// fail answers everyone who waits: the connection went before their confirms.
func (p *publisher) fail() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = true
	for i, s := range p.pending {
		if s.wait != nil {
			s.wait.settle(ErrClosed)
			p.pending[i] = slot{}
			<-p.slots
		}
	}
}
