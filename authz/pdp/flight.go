package pdp

import (
	"context"
	"errors"
	"sync"
)

// flight lets equal questions that are asked at once share one answer. The first to ask does so on
// its own goroutine: handing it to another costs more than a look into Redis.
type flight struct {
	mu    sync.Mutex
	calls map[Key]*flying
}

// flying is a question under way.
type flying struct {
	done   chan struct{} // closed once there is an answer
	answer any
	err    error
}

var errPanicked = errors.New("pdp: the question panicked")

// fly runs ask once for all that wait on k. It is not ended by the first caller's leaving, because
// others may wait on it; the Client's own deadline ends it. Whoever waits may leave.
func fly[T any](ctx context.Context, f *flight, k Key, ask func(context.Context) (T, error)) (T, error) {
	f.mu.Lock()
	c, waits := f.calls[k]
	if !waits {
		c = &flying{done: make(chan struct{}), err: errPanicked}
		if f.calls == nil {
			f.calls = map[Key]*flying{}
		}
		f.calls[k] = c
	}
	f.mu.Unlock()
	if waits {
		select {
		case <-c.done:
			answer, _ := c.answer.(T)
			return answer, c.err
		case <-ctx.Done():
			return *new(T), ctx.Err()
		}
	}
	defer func() {
		f.mu.Lock()
		delete(f.calls, k)
		f.mu.Unlock()
		close(c.done)
	}()
	answer, err := ask(context.WithoutCancel(ctx))
	c.answer, c.err = answer, err
	return answer, err
}
