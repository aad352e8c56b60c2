package broker

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// memoryQueue is one queue with its waiting, delayed and dead messages.
type memoryQueue struct {
	slots  chan struct{} // one taken for each message that waits or runs
	wake   chan struct{} // there is something to look at
	buried chan struct{} // there is a dead letter to look at
	taken  atomic.Bool

	mu      sync.Mutex
	waiting delays
	dead    []DeadLetter
}

func newMemoryQueue() *memoryQueue {
	return &memoryQueue{
		slots: make(chan struct{}, memoryCapacity), wake: make(chan struct{}, 1), buried: make(chan struct{}, 1),
	}
}

func (q *memoryQueue) reserve(ctx context.Context) error {
	select {
	case q.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// push adds a message for which there is a slot.
func (q *memoryQueue) push(m Message, delay time.Duration) {
	q.mu.Lock()
	heap.Push(&q.waiting, delayed{message: m, due: time.Now().Add(delay)})
	q.mu.Unlock()
	signal(q.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// next takes a message that is due, or says how long until one is; 0 if none is known.
func (q *memoryQueue) next(now time.Time) (m Message, ok bool, in time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return m, false, 0
	}
	if in = q.waiting[0].due.Sub(now); in > 0 {
		return m, false, in
	}
	return heap.Pop(&q.waiting).(delayed).message, true, 0
}

// await waits for a message; not ok when ctx ended first.
func (q *memoryQueue) await(ctx context.Context) (Message, bool) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		m, ok, in := q.next(time.Now())
		if ok {
			return m, true
		}
		var due <-chan time.Time
		if in > 0 {
			timer.Reset(in)
			due = timer.C
		}
		select {
		case <-q.wake:
		case <-due:
		case <-ctx.Done():
		}
	}
	return Message{}, false
}

func (q *memoryQueue) settle(m Message, v verdict) {
	switch v.kind {
	case done:
		<-q.slots
	case putBack:
		q.push(m, 0)
	case retry:
		q.push(v.again, v.delay)
	case dead:
		q.mu.Lock()
		q.dead = append(q.dead, v.dead)
		q.mu.Unlock()
		<-q.slots
		signal(q.buried)
	}
}

// awaitDead waits for a dead letter and leaves it where it is.
func (q *memoryQueue) awaitDead(ctx context.Context) (DeadLetter, bool) {
	for ctx.Err() == nil {
		q.mu.Lock()
		if len(q.dead) > 0 {
			defer q.mu.Unlock()
			return q.dead[0], true
		}
		q.mu.Unlock()
		select {
		case <-q.buried:
		case <-ctx.Done():
		}
	}
	return DeadLetter{}, false
}

func (q *memoryQueue) dropDead() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dead = q.dead[1:]
}

func (q *memoryQueue) stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Stats{Dead: len(q.dead)}
	now := time.Now()
	for _, d := range q.waiting {
		if !d.due.After(now) {
			s.Depth++
		}
	}
	if q.taken.Load() {
		s.Consumers = 1
	}
	return s
}

// delayed is a message and when it may be delivered.
type delayed struct {
	message Message
	due     time.Time
}

// delays has what is due first on top.
type delays []delayed

func (d delays) Len() int           { return len(d) }
func (d delays) Less(i, j int) bool { return d[i].due.Before(d[j].due) }
func (d delays) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *delays) Push(x any)        { *d = append(*d, x.(delayed)) }

func (d *delays) Pop() any {
	last := len(*d) - 1
	m := (*d)[last]
	(*d)[last] = delayed{}
	*d = (*d)[:last]
	return m
}
