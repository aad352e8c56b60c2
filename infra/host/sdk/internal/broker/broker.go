package broker

import (
	"context"
	"errors"
	"time"
)

// Message is one message on its way to one subscription.
type Message struct {
	ID        string // the same on every attempt
	Topic     string
	Body      []byte
	Attrs     map[string]string
	Published time.Time
	Attempt   int // 1 on the first delivery

	// Of the publisher, so that logs can be joined.
	TraceID   string
	RequestID string
}

// Infinite as MaxRetries retries for ever.
const Infinite = -1

// Subscription is a consumer of a topic. All fields must be set.
type Subscription struct {
	Topic       string
	Name        string
	Concurrency int
	AckDeadline time.Duration // the handler's context ends then
	Retention   time.Duration // an older message is given up
	MinBackoff  time.Duration
	MaxBackoff  time.Duration
	MaxRetries  int
	Handle      func(ctx context.Context, m *Message) error
}

// Topology is all topics and subscriptions of the app.
type Topology struct {
	Topics        []string
	Subscriptions []*Subscription
}

// of gives the subscriptions of a topic.
func (t Topology) of(topic string) []*Subscription {
	var subs []*Subscription
	for _, s := range t.Subscriptions {
		if s.Topic == topic {
			subs = append(subs, s)
		}
	}
	return subs
}

// Reason says why a message was given up.
type Reason string

const (
	Exhausted Reason = "retries_exhausted"
	Expired   Reason = "expired"
)

// DeadLetter is a message that was given up.
type DeadLetter struct {
	Message Message
	Reason  Reason
	Error   string
	At      time.Time
}

// ErrNoConsumer is why a process that runs no subscriptions cannot take a
// message in memory: nothing in it would ever deliver it.
var ErrNoConsumer = errors.New("this process delivers no messages")

// Transport moves messages.
type Transport interface {
	// Open makes the transport ready to publish.
	Open(ctx context.Context) error
	// Publish hands over a message for every subscription of its topic.
	Publish(ctx context.Context, m *Message) error
	// Consume starts delivering.
	Consume() error
	// Drain takes no more messages and waits for running handlers. Their
	// contexts end with force; it stops waiting when giveUp is done.
	Drain(force, giveUp context.Context) error
	// Close ends what Open began.
	Close() error
	// Health says what is wrong, if anything.
	Health() error
}
