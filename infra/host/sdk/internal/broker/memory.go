package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"encore.dev/rlog"
)

// MemoryConfig configures a [Memory].
type MemoryConfig struct {
	Topology Topology
	// Consumes says whether this process will call Consume. If not, topics
	// with subscriptions take no messages.
	Consumes bool
	// Capacity is how many messages one subscription holds, waiting and
	// running; Publish waits while it is full. 0 is 10 000.
	Capacity int
}

// Memory is the transport inside one process. What it holds is lost with the
// process, so work that must survive is kept elsewhere until it is done.
type Memory struct {
	consumes bool
	topics   map[string][]*queue

	mu      sync.Mutex
	closing bool
	take    context.CancelFunc // ends taking messages
	tasks   context.CancelFunc // ends running handlers
	running sync.WaitGroup
}

var _ Transport = (*Memory)(nil)

// NewMemory makes a transport with an empty queue per subscription.
func NewMemory(cfg MemoryConfig) *Memory {
	capacity := cfg.Capacity
	if capacity == 0 {
		capacity = 10_000
	}
	m := &Memory{consumes: cfg.Consumes, topics: map[string][]*queue{}}
	for _, topic := range cfg.Topology.Topics {
		for _, s := range cfg.Topology.of(topic) {
			m.topics[topic] = append(m.topics[topic], newQueue(s, capacity))
		}
	}
	return m
}

func (m *Memory) Open(context.Context) error { return nil }

func (m *Memory) Publish(ctx context.Context, msg *Message) error {
	queues := m.topics[msg.Topic]
	if len(queues) > 0 && (!m.consumes || m.isClosing()) {
		return ErrNoConsumer
	}
	for i, q := range queues {
		if err := q.reserve(ctx); err != nil {
			for _, reserved := range queues[:i] {
				reserved.release()
			}
			return fmt.Errorf("subscription %s is full: %w", q.sub.Name, err)
		}
	}
	for _, q := range queues {
		copied := *msg
		copied.Attrs = maps.Clone(msg.Attrs)
		copied.Attempt = 1
		q.push(&copied)
	}
	publishedTotal.WithLabelValues(msg.Topic).Inc()
	return nil
}

func (m *Memory) isClosing() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closing
}

func (m *Memory) Consume() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.take != nil {
		return errors.New("broker: Consume was called twice")
	}
	var take, tasks context.Context
	take, m.take = context.WithCancel(context.Background())
	tasks, m.tasks = context.WithCancel(context.Background())
	for _, queues := range m.topics {
		for _, q := range queues {
			m.running.Go(func() { q.run(take, tasks) })
		}
	}
	return nil
}

func (m *Memory) Drain(force, giveUp context.Context) error {
	m.mu.Lock()
	m.closing = true
	take, tasks := m.take, m.tasks
	m.mu.Unlock()
	if take == nil {
		return nil
	}
	take()
	defer context.AfterFunc(force, tasks)()
	if err := wait(&m.running, giveUp); err != nil {
		return err
	}
	tasks()
	for topic, queues := range m.topics {
		for _, q := range queues {
			if n := q.waiting(); n > 0 {
				rlog.Warn("messages held in memory end with the process", "topic", topic, "subscription", q.sub.Name, "count", n)
			}
		}
	}
	return nil
}

// wait waits for the handlers, which may ignore their contexts.
func wait(running *sync.WaitGroup, giveUp context.Context) error {
	all := make(chan struct{})
	go func() {
		running.Wait()
		close(all)
	}()
	select {
	case <-all:
		return nil
	case <-giveUp.Done():
		return errors.New("message handlers are still running")
	}
}

func (m *Memory) Close() error { return nil }

func (m *Memory) Health() error { return nil }

// Dead gives the dead letters of a subscription, oldest first.
func (m *Memory) Dead(topic, subscription string) []DeadLetter {
	for _, q := range m.topics[topic] {
		if q.sub.Name == subscription {
			return q.deadLetters()
		}
	}
	return nil
}
