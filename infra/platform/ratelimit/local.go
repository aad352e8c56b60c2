package ratelimit

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
)

// localSubjects bounds the memory of one process; whoever falls out starts anew.
const localSubjects = 100_000

// local is GCRA in this process. What is kept of a subject is its theoretical arrival time: the moment
// at which its bucket is full again.
type local struct {
	mu   sync.Mutex
	full *lru.LRU[string, time.Time]
}

func newLocal() *local {
	full, err := lru.NewLRU[string, time.Time](localSubjects, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &local{full: full}
}

func (l *local) take(now time.Time, key string, p Policy) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	unit := p.Window / time.Duration(p.Quota)
	full, _ := l.full.Get(key)
	if full.Before(now) {
		full = now
	}
	next := full.Add(unit)
	if wait := next.Sub(now) - p.Window; wait > 0 {
		return Verdict{Limited: true, Reset: full.Sub(now), RetryAfter: wait}
	}
	l.full.Add(key, next)
	return Verdict{Remaining: int((p.Window - next.Sub(now)) / unit), Reset: next.Sub(now)}
}
