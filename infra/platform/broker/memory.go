package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// memoryCapacity bounds what one queue holds, waiting and running; Publish waits while it is full.
const memoryCapacity = 10_000

// Memory is the broker inside the process. What it holds ends with the process.
type Memory struct {
	topology Topology
	queues   map[string]*memoryQueue

	take     context.Context // ends taking messages
	stop     context.CancelFunc
	tasks    context.Context // of the handlers
	endTasks context.CancelFunc
	running  sync.WaitGroup
}

var _ Broker = (*Memory)(nil)

// NewMemory makes empty queues.
func NewMemory(t Topology) *Memory {
	m := &Memory{topology: t, queues: map[string]*memoryQueue{}}
	m.take, m.stop = context.WithCancel(context.Background())
	m.tasks, m.endTasks = context.WithCancel(context.Background())
	for _, name := range t.Queues {
		m.queues[name] = newMemoryQueue()
	}
	return m
}

// Open has nothing to do.
func (m *Memory) Open(context.Context) error { return nil }

// Publish puts messages into a queue.
func (m *Memory) Publish(ctx context.Context, queue string, messages ...Message) error {
	q := m.queues[queue]
	if q == nil {
		return ErrReturned
	}
	for _, msg := range messages {
		if m.take.Err() != nil {
			return ErrClosed
		}
		if err := q.reserve(ctx); err != nil {
			publishedTotal.WithLabelValues(queue, "failed").Inc()
			return fmt.Errorf("broker: queue %s is full: %w", queue, err)
		}
		q.push(first(msg), 0)
	}
	publishedTotal.WithLabelValues(queue, "ok").Add(float64(len(messages)))
	return nil
}

// first is a message as it is published.
func first(m Message) Message {
	m.Attempt = max(m.Attempt, 1)
	if m.Published.IsZero() {
		m.Published = time.Now()
	}
	return m
}

// Consume starts delivering a queue.
func (m *Memory) Consume(c Consumer) error {
	q := m.queues[c.Queue]
	if q == nil {
		return fmt.Errorf("broker: there is no queue %s", c.Queue)
	}
	if !q.taken.CompareAndSwap(false, true) {
		return fmt.Errorf("broker: queue %s has a consumer", c.Queue)
	}
	m.running.Go(func() { m.deliver(q, &c) })
	if c.Dead != nil {
		m.running.Go(func() { m.bury(q, &c) })
	}
	return nil
}

func (m *Memory) deliver(q *memoryQueue, c *Consumer) {
	free := make(chan struct{}, c.Prefetch)
	for {
		select {
		case free <- struct{}{}:
		case <-m.take.Done():
			return
		}
		msg, ok := q.await(m.take)
		if !ok {
			return
		}
		m.running.Go(func() {
			defer func() { <-free }()
			q.settle(msg, c.attempt(m.tasks, m.topology.Ladder, msg))
		})
	}
}

// buryAgain is how long a dead letter waits that could not be taken over.
const buryAgain = time.Second

// bury hands dead letters over, one after the other.
func (m *Memory) bury(q *memoryQueue, c *Consumer) {
	for {
		l, ok := q.awaitDead(m.take)
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(m.tasks, c.Timeout)
		err := c.Dead(ctx, l)
		cancel()
		if err == nil {
			q.dropDead()
			continue
		}
		select {
		case <-m.take.Done():
			return
		case <-time.After(buryAgain):
		}
	}
}

// Drain ends taking messages and waits for the handlers.
func (m *Memory) Drain(ctx context.Context) error {
	m.stop()
	defer context.AfterFunc(ctx, m.endTasks)()
	return waitFor(ctx, &m.running)
}

// cutOff is how long handlers get to notice that their contexts have ended.
const cutOff = 2 * time.Second

// waitFor waits for handlers; they have until ctx ends, and a little to notice that it did.
func waitFor(ctx context.Context, running *sync.WaitGroup) error {
	all := make(chan struct{})
	go func() {
		running.Wait()
		close(all)
	}()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-all:
		return nil
	case <-time.After(cutOff):
		return errors.New("broker: message handlers are still running")
	}
}

// Close ends running handlers, if Drain was not called.
func (m *Memory) Close() error {
	m.stop()
	m.endTasks()
	return nil
}

// Health is always well.
func (m *Memory) Health() error { return nil }

// Stats are those of every queue.
func (m *Memory) Stats(context.Context) ([]Stats, error) {
	out := make([]Stats, 0, len(m.topology.Queues))
	for _, name := range m.topology.Queues {
		s := m.queues[name].stats()
		s.Queue = name
		out = append(out, s)
	}
	return out, nil
}
