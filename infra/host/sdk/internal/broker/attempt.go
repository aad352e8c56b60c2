package broker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"encore.dev/rlog"
)

// verdict is what is to become of a message after an attempt to deliver it.
type verdict struct {
	kind   kind
	delay  time.Duration // of a retry
	reason Reason        // of a death
	err    error
}

type kind uint8

const (
	done kind = iota
	retry
	dead
	putBack // the attempt was cut off by the shutdown and does not count
)

// PanicError is a handler's panic.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

var errExpired = errors.New("older than the subscription keeps messages")

// attempt runs the handler once. tasks ends when the shutdown forces handlers to stop.
func (s *Subscription) attempt(tasks context.Context, m *Message) verdict {
	if time.Since(m.Published) > s.Retention {
		return s.report(m, verdict{kind: dead, reason: Expired, err: errExpired})
	}
	ctx, cancel := context.WithTimeout(tasks, s.AckDeadline)
	defer cancel()
	err := s.call(ctx, m)
	switch used := m.Attempt - 1; {
	case err == nil:
		return s.report(m, verdict{kind: done})
	case tasks.Err() != nil:
		return s.report(m, verdict{kind: putBack, err: err})
	case s.MaxRetries != Infinite && used >= s.MaxRetries:
		return s.report(m, verdict{kind: dead, reason: Exhausted, err: err})
	default:
		return s.report(m, verdict{kind: retry, delay: s.backoff(m.Attempt), err: err})
	}
}

func (s *Subscription) call(ctx context.Context, m *Message) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return s.Handle(ctx, m)
}

// backoff is the wait after a failed attempt: it doubles from MinBackoff up to MaxBackoff.
func (s *Subscription) backoff(attempt int) time.Duration {
	d := s.MinBackoff
	for range attempt - 1 {
		if d >= s.MaxBackoff {
			break
		}
		d *= 2
	}
	return min(d, s.MaxBackoff)
}

// report counts a verdict and logs those that somebody should see.
func (s *Subscription) report(m *Message, v verdict) verdict {
	count(s, v.kind)
	pairs := []any{"topic", s.Topic, "subscription", s.Name, "message_id", m.ID, "attempt", m.Attempt, "error", v.err}
	if p := (*PanicError)(nil); errors.As(v.err, &p) {
		pairs = append(pairs, "stack", string(p.Stack))
	}
	switch v.kind {
	case retry:
		rlog.Warn("message failed and will be retried", append(pairs, "retry_in", v.delay.String())...)
	case dead:
		rlog.Error("message given up", append(pairs, "reason", string(v.reason))...)
	}
	return v
}
