package broker

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Headers of a message in the broker.
const (
	headerAttempt   = "x-attempt"
	headerPublished = "x-published" // RFC 3339 with nanoseconds; AMQP's own stamp has seconds
	headerTrace     = "x-trace-id"
	headerRequest   = "x-request-id"
	headerAttr      = "attr-" // and the attribute's name
	headerReason    = "x-reason"
	headerError     = "x-error"
	headerDiedAt    = "x-died-at"
)

const maxErrorHeader = 1000

// Publish returns when the broker has confirmed that every queue of the topic
// has the message on disk.
func (r *Rabbit) Publish(ctx context.Context, m *Message) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	first := *m
	first.Attempt = 1
	err := r.send(ctx, outgoing{
		exchange:  exchangeName(m.Topic),
		mandatory: len(r.cfg.Topology.of(m.Topic)) > 0,
		message:   encode(&first),
	})
	if err == nil {
		publishedTotal.WithLabelValues(m.Topic).Inc()
	}
	return err
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, publishTimeout)
}

func (r *Rabbit) send(ctx context.Context, o outgoing) error {
	l, err := r.next(ctx, nil)
	for err == nil {
		if err = l.publisher.publish(ctx, o); !errors.Is(err, amqp.ErrClosed) {
			return err
		}
		// The connection was lost before anything was sent, and nobody had noticed yet.
		l, err = r.next(ctx, l)
	}
	return err
}

func encode(m *Message) amqp.Publishing {
	headers := amqp.Table{
		headerAttempt:   int32(m.Attempt),
		headerPublished: m.Published.UTC().Format(time.RFC3339Nano),
	}
	for name, value := range map[string]string{headerTrace: m.TraceID, headerRequest: m.RequestID} {
		if value != "" {
			headers[name] = value
		}
	}
	for name, value := range m.Attrs {
		headers[headerAttr+name] = value
	}
	return amqp.Publishing{
		Headers:      headers,
		ContentType:  "application/json",
		DeliveryMode: amqp.Persistent,
		MessageId:    m.ID,
		Timestamp:    m.Published,
		Body:         m.Body,
	}
}

func encodeDead(m *Message, v verdict) amqp.Publishing {
	p := encode(m)
	p.Headers[headerReason] = string(v.reason)
	text := v.err.Error()
	p.Headers[headerError] = strings.ToValidUTF8(text[:min(len(text), maxErrorHeader)], "")
	p.Headers[headerDiedAt] = time.Now().UTC().Format(time.RFC3339)
	return p
}

// decode never fails: a message without our headers counts as a first attempt of now.
func decode(topic string, d *amqp.Delivery) *Message {
	m := &Message{ID: d.MessageId, Topic: topic, Body: d.Body, Attempt: 1, Published: time.Now()}
	if n, ok := d.Headers[headerAttempt].(int32); ok && n > 0 {
		m.Attempt = int(n)
	}
	if s, ok := d.Headers[headerPublished].(string); ok {
		if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
			m.Published = at
		}
	}
	m.TraceID, _ = d.Headers[headerTrace].(string)
	m.RequestID, _ = d.Headers[headerRequest].(string)
	for name, value := range d.Headers {
		attr, ok := strings.CutPrefix(name, headerAttr)
		if s, isString := value.(string); ok && isString {
			if m.Attrs == nil {
				m.Attrs = map[string]string{}
			}
			m.Attrs[attr] = s
		}
	}
	return m
}

// outgoing is one message for the publisher.
type outgoing struct {
	exchange, key string
	mandatory     bool
	message       amqp.Publishing
}

// publisher sends over one channel in confirm mode. Many callers may wait for
// their confirms at the same time.
type publisher struct {
	ch      *amqp.Channel
	turn    chan struct{} // one sends at a time, in the order of delivery tags
	blocked atomic.Bool
	over    sync.WaitGroup

	mu      sync.Mutex
	pending map[uint64]*pending
}

type pending struct {
	returned bool
	result   chan error
}

func newPublisher(conn *amqp.Connection) (*publisher, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		return nil, err
	}
	p := &publisher{ch: ch, turn: make(chan struct{}, 1), pending: map[uint64]*pending{}}
	// Both unbuffered and read by one goroutine: the broker sends a return
	// before the confirm of the same message, and so it is read before it.
	returns, confirms := ch.NotifyReturn(make(chan amqp.Return)), ch.NotifyPublish(make(chan amqp.Confirmation))
	p.over.Go(func() { p.collect(returns, confirms) })
	blockings := conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	p.over.Go(func() {
		for b := range blockings {
			p.blocked.Store(b.Active)
		}
	})
	return p, nil
}

// wait waits for the publisher's goroutines; they end with the connection.
func (p *publisher) wait() { p.over.Wait() }

func (p *publisher) publish(ctx context.Context, o outgoing) error {
	if p.blocked.Load() {
		return errBlocked
	}
	w := &pending{result: make(chan error, 1)}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	tag := p.ch.GetNextPublishSeqNo()
	o.message.CorrelationId = strconv.FormatUint(tag, 10)
	p.mu.Lock()
	p.pending[tag] = w
	p.mu.Unlock()
	err := p.ch.PublishWithContext(ctx, o.exchange, o.key, o.mandatory, false, o.message)
	<-p.turn
	if err != nil {
		p.take(tag)
		return err
	}
	select {
	case err := <-w.result:
		return err
	case <-ctx.Done():
		p.take(tag)
		return ctx.Err()
	}
}

func (p *publisher) take(tag uint64) *pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.pending[tag]
	delete(p.pending, tag)
	return w
}

// collect tells every waiting publish what became of its message.
func (p *publisher) collect(returns <-chan amqp.Return, confirms <-chan amqp.Confirmation) {
	for {
		select {
		case ret, ok := <-returns:
			if !ok {
				returns = nil
				continue
			}
			if tag, err := strconv.ParseUint(ret.CorrelationId, 10, 64); err == nil {
				p.mu.Lock()
				if w := p.pending[tag]; w != nil {
					w.returned = true
				}
				p.mu.Unlock()
			}
		case c, ok := <-confirms:
			if !ok {
				p.fail()
				if returns != nil {
					for range returns { // until the channel's shutdown closes it
					}
				}
				return
			}
			if w := p.take(c.DeliveryTag); w != nil {
				w.result <- w.outcome(c.Ack)
			}
		}
	}
}

func (w *pending) outcome(acked bool) error {
	switch {
	case !acked:
		return errNacked
	case w.returned:
		return errReturned
	}
	return nil
}

func (p *publisher) fail() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for tag, w := range p.pending {
		w.result <- errClosed
		delete(p.pending, tag)
	}
}
