// Package ratelimit says how often something may happen: GCRA, a leaky bucket kept as one moment a
// subject, at which its bucket is full again.
//
// A unit is decided on in this process, and told to Redis behind the request's back a few times a
// second; what the other replicas counted comes back the same way. So a limit costs a request no round
// trip, an outage of Redis turns it into one limit a replica, and what replicas together let through
// beyond a quota is what they can count within [syncEvery].
package ratelimit

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"encore.app/infra/platform/keyvalue"
	"encore.app/infra/platform/meter"
	"encore.dev/rlog"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"
)

// Policy allows Quota units a Window, all at once or spread. Without a quota it limits nothing.
type Policy struct {
	Name   string
	Quota  int
	Window time.Duration
}

// unit is how long one unit takes to come back.
func (p Policy) unit() time.Duration { return p.Window / time.Duration(p.Quota) }

// Count is one unit of a subject against a policy.
type Count struct {
	Policy  Policy
	Subject string
}

func (c Count) key() string { return "rate:" + c.Policy.Name + ":" + c.Subject }

// Verdict is what one unit did to its policy.
type Verdict struct {
	Policy     Policy
	Limited    bool
	Remaining  int
	Reset      time.Duration // until the quota is whole again
	RetryAfter time.Duration // until the next unit is there; 0 if this one was
}

const (
	// syncEvery is how often replicas tell each other what they counted.
	syncEvery = 100 * time.Millisecond
	// syncWithin bounds one exchange with Redis; it delays nobody.
	syncWithin = time.Second
	// subjects bounds the memory of one process; whoever falls out starts anew.
	subjects = 100_000
)

var (
	verdicts = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "tenantry_ratelimit_total",
		Help: "Units counted, by policy and result (passed, limited).",
	}, []string{"policy", "result"})
	syncs = meter.Counter("tenantry_ratelimit_syncs_total",
		"Exchanges of counts with Redis, by result (ok, failed).",
		"result", "ok", "failed")
)

// bucket is what is known of a subject.
type bucket struct {
	full   time.Time     // when it is full again
	untold time.Duration // of that, what the other replicas do not know yet
	window time.Duration
}

// Limiter counts.
type Limiter struct {
	shared redis.Scripter // nil where there is nobody to share with
	now    func() time.Time

	mu      sync.Mutex
	buckets *simplelru.LRU[string, *bucket]
	untold  map[string]*bucket

	stop context.CancelFunc
	done sync.WaitGroup
}

// Process is the limiter of this process. It is never closed: what it has not told when the process
// ends is a tenth of a second of counting.
var Process = sync.OnceValues(func() (*Limiter, error) {
	store, err := keyvalue.Process()
	if err != nil {
		return nil, fmt.Errorf("ratelimit: %w", err)
	}
	if store.Embedded() {
		return New(nil), nil
	}
	return New(store), nil
})

// New shares its counts through Redis; nil keeps them to itself.
func New(shared redis.Scripter) *Limiter {
	buckets, err := simplelru.NewLRU[string, *bucket](subjects, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &Limiter{shared: shared, now: time.Now, buckets: buckets, untold: map[string]*bucket{}, stop: stop}
	if shared != nil {
		l.done.Go(func() { l.exchange(ctx) })
	}
	return l
}

// Close ends the exchange with the other replicas.
func (l *Limiter) Close() {
	l.stop()
	l.done.Wait()
}

// Take counts one unit of each that has a quota, and says what that did. A unit that is refused does not
// count.
func (l *Limiter) Take(counts ...Count) []Verdict {
	now := l.now()
	var out []Verdict
	l.mu.Lock()
	for _, c := range counts {
		if c.Policy.Quota > 0 {
			out = append(out, l.take(now, c, true))
		}
	}
	l.mu.Unlock()
	for _, v := range out {
		result := "passed"
		if v.Limited {
			result = "limited"
		}
		verdicts.WithLabelValues(v.Policy.Name, result).Inc()
	}
	return out
}

// Over is the verdict on a subject that is over its limit; ok is false if it is not. It counts nothing.
func (l *Limiter) Over(c Count) (v Verdict, ok bool) {
	if c.Policy.Quota <= 0 {
		return Verdict{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	v = l.take(l.now(), c, false)
	return v, v.Limited
}

func (l *Limiter) take(now time.Time, c Count, count bool) Verdict {
	key, unit := c.key(), c.Policy.unit()
	b, known := l.buckets.Get(key)
	if !known {
		b = &bucket{}
	}
	full := b.full
	if full.Before(now) {
		full = now
	}
	next := full.Add(unit)
	if wait := next.Sub(now) - c.Policy.Window; wait > 0 {
		return Verdict{Policy: c.Policy, Limited: true, Reset: full.Sub(now), RetryAfter: wait}
	}
	if count {
		b.full, b.window = next, c.Policy.Window
		if !known {
			l.buckets.Add(key, b)
		}
		if l.shared != nil {
			b.untold += unit
			l.untold[key] = b
		}
	}
	reset := next.Sub(now)
	return Verdict{Policy: c.Policy, Remaining: int((c.Policy.Window - reset) / unit), Reset: reset}
}

// exchange tells the other replicas what was counted here, and learns what was counted there.
func (l *Limiter) exchange(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := l.sync(ctx)
		if err != nil && !failing && ctx.Err() == nil { // once an outage, not ten times a second
			rlog.Warn("rate limits are each replica's own until Redis is back", "err", err)
		}
		failing = err != nil
	}
}

// sync is one exchange. What could not be told is told by the next.
func (l *Limiter) sync(ctx context.Context) error {
	l.mu.Lock()
	told := l.untold
	l.untold = map[string]*bucket{}
	var tell []share
	for key, b := range told {
		tell = append(tell, share{key: key, add: b.untold, window: b.window})
		b.untold = 0
	}
	l.mu.Unlock()
	if len(tell) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, syncWithin)
	defer cancel()
	for part := range parts(tell) {
		resets, err := tellShared(ctx, l.shared, part)
		if err != nil {
			syncs.WithLabelValues("failed").Inc()
			l.untell(told, tell)
			return err
		}
		syncs.WithLabelValues("ok").Inc()
		l.learn(told, part, resets)
	}
	return nil
}

// learn takes over what Redis knows, and what was counted here since.
func (l *Limiter) learn(told map[string]*bucket, part []share, resets []time.Duration) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, s := range part {
		b := told[s.key]
		b.full = now.Add(resets[i] + b.untold)
		delete(told, s.key)
	}
}

// untell keeps for the next exchange what this one did not get through.
func (l *Limiter) untell(told map[string]*bucket, tell []share) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range tell {
		if b, left := told[s.key]; left {
			b.untold = min(b.untold+s.add, b.window)
			l.untold[s.key] = b
		}
	}
}

// Headers are the fields RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers). The t of
// a policy that refused is when its next unit is there, as Retry-After has it; beside one that refused,
// the others say nothing, for none of them is what the client has to wait for.
func Headers(verdicts []Verdict) (policy, state string) {
	var policies, states []byte // by hand, for every answer has them
	refused := slices.ContainsFunc(verdicts, func(v Verdict) bool { return v.Limited })
	for _, v := range verdicts {
		policies = appendItem(policies, v.Policy.Name, ";q=", v.Policy.Quota, ";w=", int(v.Policy.Window.Seconds()))
		if v.Limited || !refused {
			states = appendItem(states, v.Policy.Name, ";r=", v.Remaining, ";t=", Seconds(v.wait()))
		}
	}
	return string(policies), string(states)
}

// appendItem adds to a list an item with two parameters (RFC 9651).
func appendItem(list []byte, name, first string, n int, second string, m int) []byte {
	if len(list) > 0 {
		list = append(list, ", "...)
	}
	list = append(strconv.AppendQuote(list, name), first...)
	list = append(strconv.AppendInt(list, int64(n), 10), second...)
	return strconv.AppendInt(list, int64(m), 10)
}

// wait is what a client has to wait for.
func (v Verdict) wait() time.Duration {
	if v.Limited {
		return max(v.RetryAfter, time.Second)
	}
	return v.Reset
}

// Seconds is d in whole seconds, never too early.
func Seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
