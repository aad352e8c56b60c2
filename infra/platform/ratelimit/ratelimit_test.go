package ratelimit

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/infra/platform/keyvalue"
)

// shared counts in the embedded Redis as if it were everybody's.
func shared(t *testing.T) *Limiter {
	t.Helper()
	store, err := keyvalue.Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	l := New(store)
	l.shared = store
	return l
}

func alone() *Limiter { return &Limiter{local: newLocal(), over: newLocal(), now: time.Now} }

func one(l *Limiter, p Policy, subject string) Verdict {
	return l.Take(context.Background(), Count{p, subject})[0]
}

func TestAQuotaIsHeldAndTold(t *testing.T) {
	t.Parallel()
	p := Policy{Name: "p", Quota: 5, Window: time.Hour}
	for name, l := range map[string]*Limiter{"local": alone(), "redis": shared(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 5 {
				if v := one(l, p, "s"); v.Limited || v.Remaining != 4-i {
					t.Fatalf("unit %d: %+v", i, v)
				}
			}
			v := one(l, p, "s")
			if !v.Limited || v.Remaining != 0 || v.RetryAfter <= 0 || v.RetryAfter > 12*time.Minute || v.Reset < 59*time.Minute {
				t.Errorf("the sixth: %+v", v)
			}
			if v := one(l, p, "other"); v.Limited {
				t.Error("somebody else pays for it")
			}
		})
	}
}

func TestTheQuotaHoldsUnderConcurrency(t *testing.T) {
	t.Parallel()
	p := Policy{Name: "p", Quota: 100, Window: time.Hour}
	for name, l := range map[string]*Limiter{"local": alone(), "redis": shared(t)} {
		l.now = time.Now
		var passed atomic.Int32
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				for range 20 {
					if !one(l, p, "s").Limited {
						passed.Add(1)
					}
				}
			})
		}
		all.Wait()
		if passed.Load() != 100 {
			t.Errorf("%s: %d of 400 passed, the quota is 100", name, passed.Load())
		}
	}
}

func TestTheQuotaComesBackWithTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLocal()
	p := Policy{Name: "p", Quota: 60, Window: time.Minute}
	for range 60 {
		l.take(now, "s", p)
	}
	v := l.take(now, "s", p)
	if !v.Limited || v.RetryAfter != time.Second {
		t.Fatalf("got %+v", v)
	}
	if v := l.take(now.Add(v.RetryAfter), "s", p); v.Limited {
		t.Errorf("after the time it was told: %+v", v)
	}
	if v := l.take(now.Add(2*time.Minute), "s", p); v.Remaining != 59 {
		t.Errorf("after all that time: %+v", v)
	}
}

func TestRedisAwayIsNobodysOutage(t *testing.T) {
	t.Parallel()
	store, err := keyvalue.Open("redis://127.0.0.1:1/0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	l := New(store)
	p := Policy{Name: "p", Quota: 3, Window: time.Hour}
	start := time.Now()
	for i := range 4 {
		if v := one(l, p, "s"); v.Limited != (i == 3) {
			t.Errorf("unit %d: %+v", i, v)
		}
	}
	if took := time.Since(start); took > 3*askWithin {
		t.Errorf("an outage cost %s: it is asked again every time", took)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	policy, state := Headers([]Verdict{
		{Policy: Policy{Name: "caller", Quota: 1200, Window: time.Minute}, Remaining: 7, Reset: 1500 * time.Millisecond},
		{Policy: Policy{Name: "org", Quota: 600, Window: time.Minute}},
	})
	if policy != `"caller";q=1200;w=60, "org";q=600;w=60` || state != `"caller";r=7;t=2, "org";r=0;t=0` {
		t.Errorf("got %s and %s", policy, state)
	}
}

func TestNoQuotaIsNoLimit(t *testing.T) {
	t.Parallel()
	l := alone()
	for i := range 10 {
		if v := l.Take(context.Background(), Count{Policy{Name: "off", Window: time.Minute}, strconv.Itoa(i)}); len(v) != 0 {
			t.Fatalf("got %+v", v)
		}
	}
}

func TestLimitsAreTheStandardOnesUnlessSet(t *testing.T) {
	t.Parallel()
	l, err := parseLimits("free=10, caller=0")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ got, want int }{
		"free": {l.OfOrg("free", "").Policy.Quota, 10}, "pro": {l.OfOrg("pro", "").Policy.Quota, 3000}, "a tier of tomorrow": {l.OfOrg("x", "").Policy.Quota, 10},
		"caller": {l.OfCaller("").Policy.Quota, 0}, "address": {l.OfAddress("").Policy.Quota, 300},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", name, c.got, c.want)
		}
	}
	for _, wrong := range []string{"free", "free=", "free=many", "free=-1", "gold=5", "free=1;pro=2"} {
		if _, err := parseLimits(wrong); err == nil {
			t.Errorf("%q passed", wrong)
		}
	}
}

func TestWhoIsOverIsKnownToBeWithoutAsking(t *testing.T) {
	t.Parallel()
	l, now := shared(t), time.Now()
	l.now = func() time.Time { return now }
	c := Count{Policy{Name: "p", Quota: 1, Window: time.Hour}, "s"}
	if _, over := l.Over(c); over {
		t.Error("over before anything was counted")
	}
	l.Take(context.Background(), c)
	l.Take(context.Background(), c)
	v, over := l.Over(c)
	if !over || !v.Limited || v.RetryAfter < 59*time.Minute {
		t.Errorf("got %+v, %v", v, over)
	}
	now = now.Add(2 * time.Hour)
	if _, over := l.Over(c); over {
		t.Error("over for ever")
	}
}

func TestSeveralLimitsAreCountedTogether(t *testing.T) {
	t.Parallel()
	few, many := Policy{Name: "few", Quota: 2, Window: time.Hour}, Policy{Name: "many", Quota: 9, Window: time.Hour}
	for name, l := range map[string]*Limiter{"local": alone(), "redis": shared(t)} {
		for i := range 3 {
			v := l.Take(context.Background(), Count{few, "a"}, Count{many, "b"})
			if len(v) != 2 || v[0].Limited != (i == 2) || v[1].Limited || v[1].Remaining != 8-i {
				t.Errorf("%s, call %d: %+v", name, i, v)
			}
		}
	}
}
