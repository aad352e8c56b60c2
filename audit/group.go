package audit

import (
	"context"
	"slices"
	"sync"
	"time"

	"encore.app/infra/platform/tenantdb"
)

const (
	// groupMost is how many share a transaction at most.
	groupMost = 64
	// groupWriters is how many transactions are under way at once: while one waits for the disk, the next
	// is put together.
	groupWriters = 2
	// groupWithin bounds a transaction, which no caller of it can end for the others.
	groupWithin = 10 * time.Second
)

// group writes together what comes at the same time, as a database commits together. Nobody waits for
// company: one that comes alone is written alone. Whoever waits does the writing, so there is no
// goroutine to stop.
type group[T any] struct {
	write func(context.Context, []T) error

	mu      sync.Mutex
	waiting []*member[T]
	writers int
}

// member is one that waits: until it was written, or is to write.
type member[T any] struct {
	item  T
	done  chan error
	leads chan struct{}
}

// do writes item, alone or with others, and returns what came of it.
func (g *group[T]) do(ctx context.Context, item T) error {
	m := &member[T]{item: item, done: make(chan error, 1), leads: make(chan struct{}, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, m)
	if g.writers < groupWriters {
		g.writers++
		m.leads <- struct{}{}
	}
	g.mu.Unlock()
	for {
		select {
		case err := <-m.done:
			g.decline(m)
			return err
		case <-m.leads:
			g.lead(ctx)
		case <-ctx.Done():
			g.leave(m)
			return ctx.Err()
		}
	}
}

// lead writes those who have waited longest, and has the next one go on.
func (g *group[T]) lead(ctx context.Context) {
	g.mu.Lock()
	n := min(len(g.waiting), groupMost)
	members := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	g.mu.Unlock()
	g.settle(ctx, members)
	g.next()
}

// next lets one that waits lead. Its caller led until now.
func (g *group[T]) next() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.waiting {
		select {
		case m.leads <- struct{}{}:
			return
		default: // it is about to lead already
		}
	}
	g.writers--
}

// leave takes m out, if it is not being written.
func (g *group[T]) leave(m *member[T]) {
	g.mu.Lock()
	if i := slices.Index(g.waiting, m); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
	g.mu.Unlock()
	g.decline(m)
}

// decline hands m's turn to lead on, if it was given one. m waits no more, so it is given no other.
func (g *group[T]) decline(m *member[T]) {
	select {
	case <-m.leads:
		g.next()
	default:
	}
}

// settle writes members together. If that fails, each is written by itself, so that one which cannot be
// written fails nobody else.
func (g *group[T]) settle(ctx context.Context, members []*member[T]) {
	err := g.together(ctx, members)
	if err != nil && len(members) > 1 {
		for _, m := range members {
			m.done <- g.together(ctx, []*member[T]{m})
		}
		return
	}
	for _, m := range members {
		m.done <- err
	}
}

func (g *group[T]) together(ctx context.Context, members []*member[T]) error {
	if len(members) == 0 {
		return nil
	}
	items := make([]T, len(members))
	for i, m := range members {
		items[i] = m.item
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(tenantdb.Released(ctx)), groupWithin)
	defer cancel()
	return g.write(within, items)
}
