package broker

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"encore.dev/rlog"
)

// consumer reads one subscription's queue over a channel of its own.
type consumer struct {
	ch  *amqp.Channel
	sub *Subscription
}

func (r *Rabbit) Consume() error {
	r.mu.Lock()
	if r.consuming {
		r.mu.Unlock()
		return errors.New("broker: Consume was called twice")
	}
	r.consuming = true
	l := r.link
	r.mu.Unlock()
	if l == nil { // lost since Open; the supervisor starts the consumers
		return nil
	}
	return r.startConsumers(l)
}

func (r *Rabbit) startConsumers(l *link) error {
	for _, s := range r.cfg.Topology.Subscriptions {
		c, err := r.startConsumer(l.conn, s)
		if err != nil {
			return fmt.Errorf("subscription %s of topic %s: %w", s.Name, s.Topic, err)
		}
		r.mu.Lock()
		l.consumers = append(l.consumers, c)
		r.mu.Unlock()
	}
	return nil
}

func (r *Rabbit) startConsumer(conn *amqp.Connection, s *Subscription) (*consumer, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Qos(s.Concurrency, 0, false); err != nil {
		return nil, err
	}
	deliveries, err := ch.Consume(queueName(s), queueName(s), false, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return nil, errClosed
	}
	r.handlers.Go(func() {
		// The broker sends no more than Concurrency unacknowledged messages.
		for d := range deliveries {
			r.handlers.Go(func() { r.handle(s, &d) })
		}
		if !r.isDraining() {
			// Without its consumers a link is of no use: the supervisor makes a new one.
			_ = conn.Close()
		}
	})
	return &consumer{ch: ch, sub: s}, nil
}

func (r *Rabbit) isDraining() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}

// handle runs one attempt. The message is acknowledged only after what becomes
// of it is safe; if that fails the broker delivers it again.
func (r *Rabbit) handle(s *Subscription, d *amqp.Delivery) {
	if r.isDraining() {
		_ = d.Nack(false, true)
		return
	}
	m := decode(s.Topic, d)
	v := s.attempt(r.tasks, m)
	if err := r.settle(s, m, v); err != nil {
		rlog.Warn("message goes back to its queue", "topic", s.Topic, "subscription", s.Name, "message_id", m.ID, "error", err)
		v.kind = putBack
	}
	var err error
	if v.kind == putBack {
		err = d.Nack(false, true)
	} else {
		err = d.Ack(false)
	}
	if err != nil {
		rlog.Warn("message will be delivered again", "topic", s.Topic, "subscription", s.Name, "message_id", m.ID, "error", err)
	}
}

func (r *Rabbit) settle(s *Subscription, m *Message, v verdict) error {
	ctx, cancel := bounded(context.Background())
	defer cancel()
	switch v.kind {
	case retry:
		again := *m
		again.Attempt++
		return r.send(ctx, outgoing{exchange: retryName(v.delay), key: queueName(s), mandatory: true, message: encode(&again)})
	case dead:
		return r.send(ctx, outgoing{key: deadName(s), mandatory: true, message: encodeDead(m, v)})
	}
	return nil
}

func (r *Rabbit) Drain(force, giveUp context.Context) error {
	r.mu.Lock()
	r.draining = true
	var consumers []*consumer
	if r.link != nil {
		consumers = r.link.consumers
	}
	r.mu.Unlock()
	for _, c := range consumers {
		// Ends the deliveries; what was prefetched and not started goes back.
		if err := c.ch.Cancel(queueName(c.sub), false); err != nil && !errors.Is(err, amqp.ErrClosed) {
			rlog.Warn("consumer was not cancelled", "subscription", c.sub.Name, "error", err)
		}
	}
	defer context.AfterFunc(force, r.endTasks)()
	if err := wait(&r.handlers, giveUp); err != nil {
		return err
	}
	r.endTasks()
	return nil
}
