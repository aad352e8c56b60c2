package broker

import (
	"context"
	"errors"
	"time"
)

// Message is one message of a queue.
type Message struct {
	// ID stays the same however often the message comes.
	ID   string
	Body []byte
	// Attempt is 1 on the first delivery.
	Attempt   int
	Published time.Time
	// FirstFailed is when the first attempt failed; zero before that.
	FirstFailed time.Time
}

// DeadLetter is a message that was given up.
type DeadLetter struct {
	Queue string
	Message
	Reason Reason
	Error  string
	At     time.Time
}

// Reason says why a message was given up.
type Reason string

// The reasons.
const (
	Exhausted Reason = "retries_exhausted"
	Refused   Reason = "refused"         // the handler said that it will never work
	Crashing  Reason = "consumers_crash" // whoever took it vanished, again and again
)

// Topology is every queue of the app and the delays that messages may wait before they return to one.
type Topology struct {
	// Prefix is before every name in the broker.
	Prefix string
	Queues []string
	Ladder Ladder
}

// Consumer takes a queue's messages. All fields but Dead must be set.
type Consumer struct {
	Queue string
	// Prefetch is how many messages are handled at once.
	Prefetch int
	// Timeout ends the handler's context.
	Timeout time.Duration
	// MaxAttempts is when a message that fails is given up.
	MaxAttempts int
	// Handle has the effect. Its error sends the message up the ladder; [RetryIn] and [GiveUp] say
	// something more exact.
	Handle func(ctx context.Context, m Message) error
	// Dead takes over the queue's dead letters; without it they stay with the broker. A letter whose
	// Dead fails comes again.
	Dead func(ctx context.Context, l DeadLetter) error
}

// Stats is the state of a queue.
type Stats struct {
	Queue     string
	Depth     int // waiting for a consumer
	Consumers int
	Dead      int // dead letters that the broker still holds
}

// Broker carries messages.
type Broker interface {
	// Open makes it ready to publish.
	Open(ctx context.Context) error
	// Publish hands over messages for a queue and returns once all of them are safe, or why one is not.
	// After an error some may be in the queue and some not.
	Publish(ctx context.Context, queue string, messages ...Message) error
	// Consume starts delivering a queue.
	Consume(c Consumer) error
	// Drain takes no more messages and waits for running handlers, whose contexts end with ctx.
	Drain(ctx context.Context) error
	// Close ends what Open began.
	Close() error
	// Health says what is wrong, if anything.
	Health() error
	// Stats are those of every queue.
	Stats(ctx context.Context) ([]Stats, error)
}

// Errors of Publish. Each says that a message may not be with the broker.
var (
	ErrClosed   = errors.New("broker: there is no connection")
	ErrBlocked  = errors.New("broker: takes no messages at the moment")
	ErrRefused  = errors.New("broker: refused the message")
	ErrReturned = errors.New("broker: no queue took the message")
)

// New is the broker at url, or one inside the process where url is "".
func New(url string, t Topology) Broker {
	for _, queue := range t.Queues {
		zero(queue)
	}
	if url == "" {
		return NewMemory(t)
	}
	return NewRabbit(url, t)
}
