package ratelimit

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/keyvalue"
)

func limiter(t *testing.T) *Limiter {
	t.Helper()
	l := New(nil)
	t.Cleanup(l.Close)
	return l
}

// replicas share an embedded Redis as if it were everybody's. They exchange when a test says so.
func replicas(t *testing.T) (a, b *Limiter) {
	t.Helper()
	store, err := keyvalue.Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	a, b = limiter(t), limiter(t)
	a.shared, b.shared = store, store
	return a, b
}

func (l *Limiter) must(t *testing.T) {
	t.Helper()
	if err := l.sync(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func one(l *Limiter, p Policy, subject string) Verdict { return l.Take(Count{p, subject})[0] }

func TestAQuotaIsHeldAndTold(t *testing.T) {
	t.Parallel()
	p, l := Policy{Name: "p", Quota: 5, Window: time.Hour}, limiter(t)
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
}

func TestTheQuotaHoldsUnderConcurrency(t *testing.T) {
	t.Parallel()
	p, l := Policy{Name: "p", Quota: 100, Window: time.Hour}, limiter(t)
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
		t.Errorf("%d of 400 passed, the quota is 100", passed.Load())
	}
}

func TestTheQuotaComesBackWithTime(t *testing.T) {
	t.Parallel()
	now, l := time.Now(), limiter(t)
	l.now = func() time.Time { return now }
	p := Policy{Name: "p", Quota: 60, Window: time.Minute}
	for range 60 {
		one(l, p, "s")
	}
	v := one(l, p, "s")
	if !v.Limited || v.RetryAfter != time.Second {
		t.Fatalf("got %+v", v)
	}
	now = now.Add(v.RetryAfter)
	if v := one(l, p, "s"); v.Limited {
		t.Errorf("after the time it was told: %+v", v)
	}
	now = now.Add(2 * time.Minute)
	if v := one(l, p, "s"); v.Remaining != 59 {
		t.Errorf("after all that time: %+v", v)
	}
}

func TestReplicasCountTogether(t *testing.T) {
	t.Parallel()
	a, b := replicas(t)
	p := Policy{Name: "p", Quota: 10, Window: time.Hour}
	for range 6 {
		one(a, p, "s")
	}
	a.must(t)
	if v := one(b, p, "s"); v.Limited || v.Remaining != 9 {
		t.Errorf("before the exchange: %+v", v)
	}
	b.must(t)
	if v := one(b, p, "s"); v.Limited || v.Remaining != 2 {
		t.Errorf("6 there and 2 here of 10: %+v", v)
	}
	for range 2 {
		one(b, p, "s")
	}
	b.must(t)
	if v := one(b, p, "s"); !v.Limited {
		t.Errorf("more than the quota: %+v", v)
	}
	one(a, p, "s")
	a.must(t)
	if v := one(a, p, "s"); !v.Limited {
		t.Errorf("the other replica does not know: %+v", v)
	}
}

func TestWhatCannotBeToldIsToldLater(t *testing.T) {
	t.Parallel()
	a, b := replicas(t)
	there := a.shared
	away, err := keyvalue.Open("redis://127.0.0.1:1/0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = away.Close() })
	a.shared = away
	p := Policy{Name: "p", Quota: 3, Window: time.Hour}
	for i := range 4 { // the limit holds here all the while
		if v := one(a, p, "s"); v.Limited != (i == 3) {
			t.Errorf("unit %d: %+v", i, v)
		}
		if err := a.sync(context.Background()); err == nil && i < 3 {
			t.Fatal("told to nobody")
		}
	}
	a.shared = there
	a.must(t)
	one(b, p, "s")
	b.must(t)
	if v := one(b, p, "s"); !v.Limited {
		t.Errorf("the outage was forgotten: %+v", v)
	}
}

func TestWhoIsOverIsKnownToBe(t *testing.T) {
	t.Parallel()
	l, now := limiter(t), time.Now()
	l.now = func() time.Time { return now }
	c := Count{Policy{Name: "p", Quota: 1, Window: time.Hour}, "s"}
	if _, over := l.Over(c); over {
		t.Error("over before anything was counted")
	}
	l.Take(c)
	for range 3 {
		if v, over := l.Over(c); !over || v.RetryAfter != time.Hour {
			t.Errorf("got %+v, %v", v, over)
		}
	}
	now = now.Add(2 * time.Hour)
	if _, over := l.Over(c); over {
		t.Error("over for ever")
	}
}

func TestSeveralLimitsAreCountedTogether(t *testing.T) {
	t.Parallel()
	few, many, off := Policy{Name: "few", Quota: 2, Window: time.Hour}, Policy{Name: "many", Quota: 9, Window: time.Hour}, Policy{Name: "off"}
	l := limiter(t)
	for i := range 3 {
		v := l.Take(Count{few, "a"}, Count{off, "c"}, Count{many, "b"})
		if len(v) != 2 || v[0].Limited != (i == 2) || v[1].Limited || v[1].Remaining != 8-i {
			t.Errorf("call %d: %+v", i, v)
		}
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

func TestARefusalSaysWhenToComeBackAndNothingSooner(t *testing.T) {
	t.Parallel()
	verdicts := []Verdict{
		{Policy: Policy{Name: "caller", Quota: 60, Window: time.Minute}, Limited: true, Reset: time.Minute, RetryAfter: 900 * time.Millisecond},
		{Policy: Policy{Name: "org", Quota: 6, Window: time.Minute}, Limited: true, Reset: time.Minute, RetryAfter: 9500 * time.Millisecond},
		{Policy: Policy{Name: "address", Quota: 6, Window: time.Minute}, Remaining: 2, Reset: 40 * time.Second},
	}
	policy, state := Headers(verdicts)
	if policy != `"caller";q=60;w=60, "org";q=6;w=60, "address";q=6;w=60` || state != `"caller";r=0;t=1, "org";r=0;t=10` {
		t.Errorf("got %s and %s", policy, state)
	}
	if after := fault.DetailsOf(Exceeded(verdicts...)).RetryAfter; after != 10 {
		t.Errorf("come back after %d s, and not all of it is there by then", after)
	}
}

func TestLimitsAreTheStandardOnesUnlessSet(t *testing.T) {
	t.Parallel()
	l, err := parseLimits("free=10, caller=0")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		got  Count
		want int
	}{
		"free": {l.OfOrg("free", ""), 10}, "pro": {l.OfOrg("pro", ""), 3000}, "a tier of tomorrow": {l.OfOrg("x", ""), 10},
		"caller": {l.OfCaller(""), 0}, "address": {l.OfAddress(""), 300},
	} {
		if c.got.Policy.Quota != c.want {
			t.Errorf("%s: %d, want %d", name, c.got.Policy.Quota, c.want)
		}
	}
	for _, wrong := range []string{"free", "free=", "free=many", "free=-1", "gold=5", "free=1;pro=2"} {
		if _, err := parseLimits(wrong); err == nil {
			t.Errorf("%q passed", wrong)
		}
	}
}

func TestAnIPv6HostIsItsNetwork(t *testing.T) {
	t.Parallel()
	var l Limits
	for _, same := range [][2]string{{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9"}, {"fe80::1%eth0", "fe80::2"}} {
		if a, b := l.OfAddress(same[0]), l.OfAddress(same[1]); a != b {
			t.Errorf("%s and %s are counted as %q and %q", same[0], same[1], a.Subject, b.Subject)
		}
	}
	for _, other := range [][2]string{{"2001:db8:1:2::1", "2001:db8:1:3::1"}, {"192.0.2.1", "192.0.2.2"}, {"::ffff:192.0.2.1", "::ffff:192.0.2.2"}} {
		if a, b := l.OfAddress(other[0]), l.OfAddress(other[1]); a == b {
			t.Errorf("%s and %s are both counted as %q", other[0], other[1], a.Subject)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	l := New(nil)
	defer l.Close()
	caller, org := Policy{"caller", 1 << 30, time.Minute}, Policy{"org", 1 << 30, time.Minute}
	b.ReportAllocs()
	for b.Loop() {
		l.Take(Count{caller, "u"}, Count{org, "o"})
	}
}
