package broker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"encore.app/infra/platform/incident"
	"encore.app/infra/platform/redact"
	"encore.dev/rlog"
)

type retryError struct {
	delay time.Duration
	err   error
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// RetryIn is the error of an attempt that is to be made again after a rung of the ladder of that delay,
// however many there were: whoever answers it counts for itself.
func RetryIn(delay time.Duration, err error) error { return &retryError{delay: delay, err: err} }

type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// GiveUp is the error of a message that will never work: it is a dead letter at once.
func GiveUp(err error) error { return &refusedError{err: err} }

// verdict is what becomes of a message after an attempt.
type verdict struct {
	kind  kind
	again Message       // of a retry
	delay time.Duration // of a retry
	dead  DeadLetter
}

type kind string

const (
	done    kind = "done"
	retry   kind = "retry"
	dead    kind = "dead"
	putBack kind = "put_back" // cut off by the shutdown, which is no attempt
)

// attempt runs the handler once. tasks ends when the shutdown cuts handlers off.
func (c *Consumer) attempt(tasks context.Context, l Ladder, m Message) verdict {
	ctx, cancel := context.WithTimeout(tasks, c.Timeout)
	defer cancel()
	start := time.Now()
	v := c.judge(tasks, l, m, c.call(ctx, m))
	handled.WithLabelValues(c.Queue, string(v.kind)).Observe(time.Since(start).Seconds())
	if v.kind == dead {
		attempts.WithLabelValues(c.Queue).Observe(float64(m.Attempt))
		rlog.Error("message given up", "queue", c.Queue, "message_id", m.ID, "attempt", m.Attempt, "reason", string(v.dead.Reason), "err", redact.Text(v.dead.Error))
	}
	return v
}

func (c *Consumer) judge(tasks context.Context, l Ladder, m Message, err error) verdict {
	if err == nil {
		attempts.WithLabelValues(c.Queue).Observe(float64(m.Attempt))
		return verdict{kind: done}
	}
	if tasks.Err() != nil {
		return verdict{kind: putBack}
	}
	if m.FirstFailed.IsZero() {
		m.FirstFailed = time.Now()
	}
	var again *retryError
	var refused *refusedError
	switch counts := !errors.As(err, &again); {
	case errors.As(err, &refused):
		return verdict{kind: dead, dead: c.letter(m, Refused, err)}
	case counts && m.Attempt >= c.MaxAttempts:
		return verdict{kind: dead, dead: c.letter(m, Exhausted, err)}
	case counts:
		return verdict{kind: retry, again: m.next(), delay: l.After(m.Attempt)}
	default:
		return verdict{kind: retry, again: m.next(), delay: l.rung(again.delay)}
	}
}

func (m Message) next() Message {
	m.Attempt++
	return m
}

func (c *Consumer) letter(m Message, reason Reason, err error) DeadLetter {
	return DeadLetter{Queue: c.Queue, Message: m, Reason: reason, Error: err.Error(), At: time.Now()}
}

func (c *Consumer) call(ctx context.Context, m Message) (err error) {
	defer func() {
		if v := recover(); v != nil {
			rlog.Error("message handler panicked", "queue", c.Queue, "message_id", m.ID, "panic", redact.Text(fmt.Sprint(v)), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	defer incident.Recovered(c.Queue, "")
	return c.Handle(ctx, m)
}
