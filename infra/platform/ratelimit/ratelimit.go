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
	shared redis.Scripter // nil where there is no Redis to share
	local  *local
	over   *local       // who is over a shared limit, and until when: they are not asked about
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
	l := &Limiter{local: newLocal(), over: newLocal(), now: time.Now}
	if !store.Embedded() {
		l.shared = store
	}
	return l
}

// Take counts one unit of each, in one round trip, and says what that did to each policy that has a
// quota. Whoever is over stays over without anybody being asked.
func (l *Limiter) Take(ctx context.Context, counts ...Count) []Verdict {
	var real []Count
	for _, c := range counts {
		if c.Policy.Quota > 0 {
			real = append(real, c)
		}
	}
	if len(real) == 0 {
		return nil
	}
	out, where := l.take(ctx, real)
	for i := range out {
		out[i].Policy = real[i].Policy
		result := "passed"
		if out[i].Limited {
			result = "limited"
		}
		verdicts.WithLabelValues(real[i].Policy.Name, where, result).Inc()
	}
	return out
}

// Over is the verdict on a subject that is known to be over its limit; ok is false if nothing is known.
// It counts nothing and asks nobody.
func (l *Limiter) Over(c Count) (v Verdict, ok bool) {
	if c.Policy.Quota <= 0 {
		return Verdict{}, false
	}
	now := l.now()
	if full, known := l.over.get(c.key()); known && full.After(now) {
		return Verdict{Policy: c.Policy, Limited: true, Reset: full.Sub(now), RetryAfter: full.Sub(now)}, true
	}
	return Verdict{}, false
}

func (l *Limiter) take(ctx context.Context, counts []Count) ([]Verdict, string) {
	now := l.now()
	if l.shared != nil && now.UnixNano() >= l.resume.Load() {
		ctx, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		out, err := takeShared(ctx, l.shared, counts)
		if err == nil {
			l.remember(now, counts, out)
			return out, "redis"
		}
		l.resume.Store(now.Add(restFor).UnixNano())
	}
	out := make([]Verdict, len(counts))
	for i, c := range counts {
		out[i] = l.local.take(now, c.key(), c.Policy)
	}
	l.remember(now, counts, out)
	return out, "local"
}

func (l *Limiter) remember(now time.Time, counts []Count, out []Verdict) {
	for i, v := range out {
		if v.Limited {
			l.over.set(counts[i].key(), now.Add(v.RetryAfter))
		}
	}
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
