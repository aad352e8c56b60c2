// Package ratelimit says how often something may happen: GCRA, a leaky bucket kept as one time a
// subject. The counts are shared through Redis; where it is away, or lives in this process, every
// replica counts for itself, because a limit that needs a part to be up would turn its outage into
// everybody's.
package ratelimit

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"encore.app/infra/platform/keyvalue"
	"github.com/go-redis/redis_rate/v10"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Policy allows Quota units a Window, all at once or spread.
type Policy struct {
	Name   string
	Quota  int
	Window time.Duration
}

// Verdict is what one unit did to its policy.
type Verdict struct {
	Policy     Policy
	Limited    bool
	Remaining  int
	Reset      time.Duration // until the quota is whole again
	RetryAfter time.Duration // until the next unit is there; 0 if this one was
}

const (
	// askWithin bounds what a request waits for Redis.
	askWithin = 50 * time.Millisecond
	// restFor is how long Redis is left alone after it did not answer.
	restFor = time.Second
)

var verdicts = promauto.NewCounterVec(prometheus.CounterOpts{
	Name: "tenantry_ratelimit_total",
	Help: "Units counted, by policy, where they were counted (redis, local) and result (passed, limited).",
}, []string{"policy", "where", "result"})

// Limiter counts.
type Limiter struct {
	shared *redis_rate.Limiter // nil where there is no Redis to share
	local  *local
	resume atomic.Int64 // unix nanoseconds before which Redis is not asked
	now    func() time.Time
}

// Process is the limiter of this process.
var Process = sync.OnceValues(func() (*Limiter, error) {
	store, err := keyvalue.Process()
	if err != nil {
		return nil, fmt.Errorf("ratelimit: %w", err)
	}
	return New(store), nil
})

// New counts in store, unless that lives in this process anyway.
func New(store *keyvalue.Store) *Limiter {
	l := &Limiter{local: newLocal(), now: time.Now}
	if !store.Embedded() {
		l.shared = redis_rate.NewLimiter(store)
	}
	return l
}

// Take counts one unit of subject against p. A policy without a quota limits nothing.
func (l *Limiter) Take(ctx context.Context, p Policy, subject string) Verdict {
	if p.Quota <= 0 {
		return Verdict{Policy: p, Remaining: math.MaxInt32}
	}
	v, where := l.take(ctx, p, subject)
	v.Policy = p
	result := "passed"
	if v.Limited {
		result = "limited"
	}
	verdicts.WithLabelValues(p.Name, where, result).Inc()
	return v
}

func (l *Limiter) take(ctx context.Context, p Policy, subject string) (Verdict, string) {
	key := p.Name + ":" + subject
	if l.shared != nil && l.now().UnixNano() >= l.resume.Load() {
		ctx, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		got, err := l.shared.Allow(ctx, key, redis_rate.Limit{Rate: p.Quota, Burst: p.Quota, Period: p.Window})
		if err == nil {
			return Verdict{
				Limited: got.Allowed == 0, Remaining: got.Remaining, Reset: got.ResetAfter, RetryAfter: max(0, got.RetryAfter),
			}, "redis"
		}
		l.resume.Store(l.now().Add(restFor).UnixNano())
	}
	return l.local.take(l.now(), key, p), "local"
}

// Headers are the fields RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers).
func Headers(verdicts []Verdict) (policy, state string) {
	var policies, states []string
	for _, v := range verdicts {
		policies = append(policies, fmt.Sprintf("%q;q=%d;w=%d", v.Policy.Name, v.Policy.Quota, int(v.Policy.Window.Seconds())))
		states = append(states, fmt.Sprintf("%q;r=%d;t=%d", v.Policy.Name, v.Remaining, Seconds(v.Reset)))
	}
	return strings.Join(policies, ", "), strings.Join(states, ", ")
}

// Seconds is d in whole seconds, never too early.
func Seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
