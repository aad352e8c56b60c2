package stripesync

import (
	"context"
	"sync"
	"time"
)

// pace lets so many through a second, evenly.
type pace struct {
	every time.Duration
	mu    sync.Mutex
	next  time.Time
}

// wait takes the next turn and waits for it.
func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	turn := p.next.Sub(now)
	p.next = p.next.Add(p.every)
	p.mu.Unlock()
	if turn <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(turn)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
