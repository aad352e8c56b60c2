package server

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// deadlineContext is context.WithDeadline that costs nothing until somebody waits on it: most
// short handlers never do.
type deadlineContext struct {
	parent   context.Context
	deadline time.Time

	armed  atomic.Pointer[armedContext]
	mu     sync.Mutex
	ended  bool
	cancel context.CancelFunc
}

type armedContext struct{ context.Context }

func (c *deadlineContext) start(parent context.Context, deadline time.Time) {
	if d, ok := parent.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	c.parent, c.deadline = parent, deadline
}

// end releases what the context holds. It reads as cancelled from then on.
func (c *deadlineContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.cancel != nil {
		c.cancel()
	}
}

func (c *deadlineContext) arm() context.Context {
	if a := c.armed.Load(); a != nil {
		return a
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.armed.Load(); a != nil {
		return a
	}
	ctx, cancel := context.WithDeadline(c.parent, c.deadline)
	if c.ended {
		cancel()
	}
	c.cancel = cancel
	a := &armedContext{ctx}
	c.armed.Store(a)
	return a
}

// Deadline is that of [context.Context].
func (c *deadlineContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Done is that of [context.Context].
func (c *deadlineContext) Done() <-chan struct{} { return c.arm().Done() }

// Err is that of [context.Context].
func (c *deadlineContext) Err() error {
	if a := c.armed.Load(); a != nil {
		return a.Err()
	}
	if err := c.parent.Err(); err != nil {
		return err
	}
	if !time.Now().Before(c.deadline) {
		return context.DeadlineExceeded
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return context.Canceled
	}
	return nil
}

// Value is that of [context.Context]. Once armed it goes through the armed context, so that
// children attach to it and need no goroutine of their own.
func (c *deadlineContext) Value(key any) any {
	if a := c.armed.Load(); a != nil {
		return a.Value(key)
	}
	return c.parent.Value(key)
}

// movableContext is the context of a raw endpoint, whose deadline its handler may move.
type movableContext struct {
	context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func newMovable(parent context.Context, timeout time.Duration) *movableContext {
	ctx, cancel := context.WithCancelCause(parent)
	return &movableContext{
		Context: ctx, cancel: cancel,
		timer: time.AfterFunc(timeout, func() { cancel(context.DeadlineExceeded) }),
	}
}

// move sets another deadline; the zero time takes it away.
func (c *movableContext) move(t time.Time) {
	if t.IsZero() {
		c.timer.Stop()
		return
	}
	c.timer.Reset(time.Until(t))
}

func (c *movableContext) end() {
	c.timer.Stop()
	c.cancel(nil)
}
