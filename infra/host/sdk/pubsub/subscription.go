package pubsub

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"encore.dev"
	"encore.dev/internal/broker"
	"encore.dev/internal/caller"
	"encore.dev/internal/registry"
	"encore.dev/internal/scope"
)

const (
	// NoRetries as MaxRetries gives a message up after its first failure.
	NoRetries = -2

	// InfiniteRetries as MaxRetries never gives a message up.
	InfiniteRetries = -1
)

// What a zero field of a configuration means.
const (
	defaultConcurrency = 100
	unlimited          = 256 // a negative MaxConcurrency
	defaultAckDeadline = 30 * time.Second
	defaultRetention   = 7 * 24 * time.Hour
	defaultMinBackoff  = 10 * time.Second
	defaultMaxBackoff  = 10 * time.Minute
	defaultMaxRetries  = 100
)

// RetryPolicy says how a failed message is tried again. The wait doubles with each failure.
type RetryPolicy struct {
	MinBackoff time.Duration // 0 is 10 seconds
	MaxBackoff time.Duration // 0 is 10 minutes
	// MaxRetries is how many retries a message has before it is a dead letter;
	// 0 is 100. See also [NoRetries] and [InfiniteRetries].
	MaxRetries int
}

// SubscriptionConfig configures a subscription.
type SubscriptionConfig[T any] struct {
	// Handler processes a message. An error or a panic has it delivered again.
	Handler func(ctx context.Context, msg T) error // required

	// MaxConcurrency bounds how many messages this process handles at a time.
	// 0 is 100, and a negative number 256.
	MaxConcurrency int

	// AckDeadline is when the handler's context ends. 0 is 30 seconds.
	AckDeadline time.Duration

	// MessageRetention is how long a message is worth delivering. 0 is 7 days.
	MessageRetention time.Duration

	RetryPolicy *RetryPolicy
}

// SubscriptionMeta describes a subscription.
type SubscriptionMeta[T any] struct {
	Name   string
	Config SubscriptionConfig[T]
	Topic  TopicMeta
}

// Subscription is a consumer of a topic.
type Subscription[T any] struct {
	topic *Topic[T]
	name  string
	cfg   SubscriptionConfig[T]
	pkg   string // that declared it
}

// NewSubscription declares a subscription. It is for package variables.
func NewSubscription[T any](topic *Topic[T], name string, cfg SubscriptionConfig[T]) *Subscription[T] {
	s := &Subscription[T]{topic: topic, name: name, cfg: cfg, pkg: caller.Package(0)}
	topic.hub.addSubscription(s.forBroker())
	return s
}

// Meta describes the subscription.
func (s *Subscription[T]) Meta() SubscriptionMeta[T] {
	return SubscriptionMeta[T]{Name: s.name, Config: s.cfg, Topic: s.topic.Meta()}
}

// Config is the configuration it was declared with.
func (s *Subscription[T]) Config() SubscriptionConfig[T] { return s.cfg }

func (s *Subscription[T]) forBroker() *broker.Subscription {
	if s.cfg.Handler == nil {
		panic(fmt.Sprintf("pubsub: subscription %q of topic %q has no handler", s.name, s.topic.name))
	}
	b := &broker.Subscription{
		Topic:       s.topic.name,
		Name:        s.name,
		Concurrency: s.cfg.MaxConcurrency,
		AckDeadline: or(s.cfg.AckDeadline, defaultAckDeadline),
		Retention:   or(s.cfg.MessageRetention, defaultRetention),
		MinBackoff:  defaultMinBackoff,
		MaxBackoff:  defaultMaxBackoff,
		MaxRetries:  defaultMaxRetries,
		Handle:      s.handle,
	}
	switch {
	case b.Concurrency == 0:
		b.Concurrency = defaultConcurrency
	case b.Concurrency < 0:
		b.Concurrency = unlimited
	}
	if p := s.cfg.RetryPolicy; p != nil {
		b.MinBackoff, b.MaxBackoff = or(p.MinBackoff, defaultMinBackoff), or(p.MaxBackoff, defaultMaxBackoff)
		b.MaxBackoff = max(b.MinBackoff, b.MaxBackoff)
		switch {
		case p.MaxRetries == NoRetries:
			b.MaxRetries = 0
		case p.MaxRetries == InfiniteRetries:
			b.MaxRetries = broker.Infinite
		case p.MaxRetries != 0:
			b.MaxRetries = p.MaxRetries
		}
	}
	return b
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// handle delivers one message under a request of its own, without a caller.
func (s *Subscription[T]) handle(ctx context.Context, m *broker.Message) (err error) {
	var msg T
	if err := json.Unmarshal(m.Body, &msg); err != nil {
		return fmt.Errorf("message is no %s: %w", reflect.TypeFor[T](), err)
	}
	service := registry.Process().ServiceOfPackage(s.pkg)
	work := &scope.Scope{
		Service:   service,
		Endpoint:  s.name,
		TraceID:   m.TraceID,
		RequestID: m.RequestID,
		Req: &encore.Request{
			Type:    encore.PubSubMessage,
			Started: time.Now(),
			Trace:   &encore.TraceData{TraceID: m.TraceID},
			Service: service,
			Payload: msg,
			Message: &encore.MessageData{
				Service:         service,
				Topic:           m.Topic,
				Subscription:    s.name,
				ID:              m.ID,
				Published:       m.Published,
				DeliveryAttempt: m.Attempt,
			},
		},
	}
	scope.Run(ctx, work, func(ctx context.Context) { err = s.cfg.Handler(ctx, msg) })
	return err
}
