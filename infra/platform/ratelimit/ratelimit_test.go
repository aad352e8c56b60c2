package ratelimit

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/infra/platform/keyvalue"
	"github.com/go-redis/redis_rate/v10"
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
	l.shared = redis_rate.NewLimiter(store)
	return l
}

func alone() *Limiter { return &Limiter{local: newLocal(), now: time.Now} }

func TestAQuotaIsHeldAndTold(t *testing.T) {
	t.Parallel()
	p := Policy{Name: "p", Quota: 5, Window: time.Hour}
	for name, l := range map[string]*Limiter{"local": alone(), "redis": shared(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 5 {
				if v := l.Take(context.Background(), p, "s"); v.Limited || v.Remaining != 4-i {
					t.Fatalf("unit %d: %+v", i, v)
				}
			}
			v := l.Take(context.Background(), p, "s")
			if !v.Limited || v.Remaining != 0 || v.RetryAfter <= 0 || v.RetryAfter > 12*time.Minute || v.Reset < 59*time.Minute {
				t.Errorf("the sixth: %+v", v)
			}
			if v := l.Take(context.Background(), p, "other"); v.Limited {
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
					if !l.Take(context.Background(), p, "s").Limited {
						passed.Add(1)
					}
				}
			})
		}
		all.Wait()
		if passed.Load() != 100 && name == "local" || passed.Load() < 100 {
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
		if v := l.Take(context.Background(), p, "s"); v.Limited != (i == 3) {
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
		if v := l.Take(context.Background(), Policy{Name: "off", Window: time.Minute}, strconv.Itoa(i)); v.Limited {
			t.Fatal("limited")
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
		"free": {l.Org("free").Quota, 10}, "pro": {l.Org("pro").Quota, 3000}, "a tier of tomorrow": {l.Org("x").Quota, 10},
		"caller": {l.Caller().Quota, 0}, "address": {l.Address().Quota, 300},
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
