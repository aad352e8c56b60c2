package broker

import (
	"context"
	"errors"
	"time"

	"encore.dev/rlog"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Consume starts delivering a queue, now and on every connection to come.
func (r *Rabbit) Consume(c Consumer) error {
	r.subscribing.Lock()
	defer r.subscribing.Unlock()
	r.mu.Lock()
	r.consumers = append(r.consumers, &c)
	l := r.link
	r.mu.Unlock()
	if l == nil { // lost since Open: the supervisor subscribes
		return nil
	}
	return r.subscribe(l, &c)
}

func (r *Rabbit) subscribe(l *link, c *Consumer) error {
	err := r.deliver(l, r.topology.queue(c.Queue), c.Prefetch, func(d *amqp.Delivery) { r.handle(c, d) })
	if err == nil && c.Dead != nil {
		err = r.deliver(l, r.topology.deadQueue(c.Queue), 1, func(d *amqp.Delivery) { r.bury(c, d) })
	}
	return err
}

// deliver hands a queue's messages to fn, as many at once as are prefetched.
func (r *Rabbit) deliver(l *link, queue string, prefetch int, fn func(*amqp.Delivery)) error {
	ch, err := l.conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.Consume(queue, queue, false, false, false, false, nil)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining.Load() {
		return nil
	}
	l.open = append(l.open, subscription{ch: ch, tag: queue})
	r.handlers.Go(func() {
		r.handOut(deliveries, fn)
		if !r.draining.Load() {
			l.conn.Close() // without its consumers a link is of no use: the supervisor makes a new one
		}
	})
	return nil
}

// handOut has each delivery handled at once. Whoever is done with one takes the next: a goroutine of its
// own for each would grow its stack anew each time.
func (r *Rabbit) handOut(deliveries <-chan amqp.Delivery, fn func(*amqp.Delivery)) {
	idle := make(chan *amqp.Delivery)
	defer close(idle)
	for d := range deliveries {
		select {
		case idle <- &d:
		default:
			r.handlers.Go(func() {
				fn(&d)
				for d := range idle {
					fn(d)
				}
			})
		}
	}
}

// handle runs one attempt. The message is acknowledged once what becomes of it is safe; if that fails
// it is delivered again.
func (r *Rabbit) handle(c *Consumer, d *amqp.Delivery) {
	if r.draining.Load() {
		r.answered(c, d.Nack(false, true))
		return
	}
	v := c.attempt(r.tasks, r.topology.Ladder, decode(d))
	var err error
	switch v.kind {
	case retry:
		err = r.send(context.Background(), r.topology.retry(v.delay), c.Queue, []amqp.Publishing{encode(v.again)})
	case dead:
		err = r.send(context.Background(), "", r.topology.deadQueue(c.Queue), []amqp.Publishing{encodeDead(v.dead)})
	}
	if err != nil || v.kind == putBack {
		r.answered(c, d.Nack(false, true))
		return
	}
	r.answered(c, d.Ack(false))
}

func (r *Rabbit) answered(c *Consumer, err error) {
	if err != nil && !errors.Is(err, amqp.ErrClosed) {
		rlog.Warn("message will be delivered again", "queue", c.Queue, "err", err)
	}
}

// bury hands a dead letter over. One that cannot be taken over waits a little, so that the way back
// and forth does not become a storm.
func (r *Rabbit) bury(c *Consumer, d *amqp.Delivery) {
	if r.draining.Load() {
		r.answered(c, d.Nack(false, true))
		return
	}
	ctx, cancel := context.WithTimeout(r.tasks, c.Timeout)
	err := c.Dead(ctx, decodeDead(c.Queue, d))
	cancel()
	if err == nil {
		r.answered(c, d.Ack(false))
		return
	}
	rlog.Warn("dead letter could not be taken over", "queue", c.Queue, "message_id", d.MessageId, "err", err)
	select {
	case <-time.After(buryAgain):
	case <-r.tasks.Done():
	}
	r.answered(c, d.Nack(false, true))
}

// Drain ends the subscriptions and waits for the handlers; what was sent ahead and not begun goes back.
func (r *Rabbit) Drain(ctx context.Context) error {
	r.mu.Lock()
	r.draining.Store(true)
	var open []subscription
	if r.link != nil {
		open = r.link.open
	}
	r.mu.Unlock()
	for _, s := range open {
		if err := s.ch.Cancel(s.tag, false); err != nil && !errors.Is(err, amqp.ErrClosed) {
			rlog.Warn("consumer was not cancelled", "queue", s.tag, "err", err)
		}
	}
	defer context.AfterFunc(ctx, r.endTasks)()
	return waitFor(ctx, &r.handlers)
}
