package ratelimit

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
)

// localSubjects bounds the memory of one process; whoever falls out starts anew.
const localSubjects = 100_000

// local is GCRA in this process. What is kept of a subject is the moment at which its bucket is full
// again.
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
	full, _ := l.full.Get(key)
	if full.Before(now) {
		full = now
	}
	next := full.Add(p.unit())
	if wait := next.Sub(now) - p.Window; wait > 0 {
		return p.verdict(full.Sub(now), wait)
	}
	l.full.Add(key, next)
	return p.verdict(next.Sub(now), 0)
}

func (l *local) get(key string) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.full.Get(key)
}

func (l *local) set(key string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full.Add(key, at)
}
