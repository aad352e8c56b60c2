package broker

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"
)

// deadKept bounds a queue's dead letters; the oldest go first.
const deadKept = 1000

// queue is one subscription's messages in memory.
type queue struct {
	sub   *Subscription
	slots chan struct{} // one taken per message that waits or runs
	wake  chan struct{} // says that there is something to look at

	mu    sync.Mutex
	ready []*Message
	later laterHeap
	dead  []DeadLetter
}

func newQueue(s *Subscription, capacity int) *queue {
	return &queue{sub: s, slots: make(chan struct{}, capacity), wake: make(chan struct{}, 1)}
}

// reserve waits for room; push or release must follow.
func (q *queue) reserve(ctx context.Context) error {
	select {
	case q.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *queue) release() { <-q.slots }

func (q *queue) push(m *Message) {
	q.mu.Lock()
	q.ready = append(q.ready, m)
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next takes a message, or says how long until the next one; 0 if none is known.
func (q *queue) next(now time.Time) (m *Message, in time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.later) > 0 && !q.later[0].due.After(now) {
		return heap.Pop(&q.later).(delayed).message, 0
	}
	if len(q.ready) > 0 {
		m, q.ready = q.ready[0], q.ready[1:]
		return m, 0
	}
	if len(q.later) > 0 {
		return nil, q.later[0].due.Sub(now)
	}
	return nil, 0
}

// run delivers until take ends, then waits for its handlers.
func (q *queue) run(take, tasks context.Context) {
	var handlers sync.WaitGroup
	defer handlers.Wait()
	free := make(chan struct{}, q.sub.Concurrency)
	for {
		select {
		case free <- struct{}{}:
		case <-take.Done():
			return
		}
		m := q.await(take)
		if m == nil {
			return
		}
		handlers.Go(func() {
			defer func() { <-free }()
			q.settle(m, q.sub.attempt(tasks, m))
		})
	}
}

// await waits for a message; nil if take ended first.
func (q *queue) await(take context.Context) *Message {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for take.Err() == nil {
		m, in := q.next(time.Now())
		if m != nil {
			return m
		}
		var due <-chan time.Time
		if in > 0 {
			timer.Reset(in)
			due = timer.C
		}
		select {
		case <-q.wake:
		case <-due:
		case <-take.Done():
		}
	}
	return nil
}

func (q *queue) settle(m *Message, v verdict) {
	switch v.kind {
	case done:
		q.release()
	case putBack:
		q.push(m)
	case retry:
		again := *m
		again.Attempt++
		q.mu.Lock()
		heap.Push(&q.later, delayed{message: &again, due: time.Now().Add(v.delay)})
		q.mu.Unlock()
		q.signal()
	case dead:
		q.mu.Lock()
		if len(q.dead) == deadKept {
			q.dead = slices.Delete(q.dead, 0, 1)
		}
		q.dead = append(q.dead, DeadLetter{Message: *m, Reason: v.reason, Error: v.err.Error(), At: time.Now()})
		q.mu.Unlock()
		q.release()
	}
}

func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ready) + len(q.later)
}

func (q *queue) deadLetters() []DeadLetter {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.dead)
}

// delayed is a message that waits for its back-off to pass.
type delayed struct {
	message *Message
	due     time.Time
}

// laterHeap has the message that is due first on top.
type laterHeap []delayed

func (h laterHeap) Len() int           { return len(h) }
func (h laterHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h laterHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *laterHeap) Push(x any)        { *h = append(*h, x.(delayed)) }

func (h *laterHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = delayed{}
	*h = (*h)[:last]
	return d
}
