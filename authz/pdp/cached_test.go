package pdp_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/authz/filter"
	"encore.app/authz/pdp"
	"encore.app/authz/principal"
	enginev1 "github.com/cerbos/cerbos/api/genpb/cerbos/engine/v1"
)

// decider counts what reaches it and allows every action but "delete".
type decider struct {
	asked   atomic.Int64 // decisions, not calls
	err     error
	entered chan struct{} // signalled by each Check, where set
	release chan struct{} // awaited by each Check, where set
}

func (d *decider) Check(_ context.Context, _ *principal.Principal, _ pdp.Resource, action string) (pdp.Decision, error) {
	n := d.asked.Add(1)
	if d.entered != nil {
		d.entered <- struct{}{}
		<-d.release
	}
	return pdp.Decision{ID: fmt.Sprint(n), Allowed: action != "delete"}, d.err
}

func (d *decider) CheckAll(ctx context.Context, p *principal.Principal, queries []pdp.Query) ([]map[string]pdp.Decision, error) {
	var out []map[string]pdp.Decision
	for _, q := range queries {
		m := map[string]pdp.Decision{}
		for _, a := range q.Actions {
			m[a], _ = d.Check(ctx, p, q.Resource, a)
		}
		out = append(out, m)
	}
	return out, d.err
}

func (d *decider) Plan(context.Context, *principal.Principal, string, string, map[string]any) (*filter.Plan, error) {
	d.asked.Add(1)
	if d.err != nil {
		return nil, d.err
	}
	return filter.New(&enginev1.PlanResourcesFilter{Kind: enginev1.PlanResourcesFilter_KIND_ALWAYS_ALLOWED})
}

// rig is a cache over a counting decider with every seam in the test's hands.
type rig struct {
	next   decider
	cache  *pdp.Cached
	now    time.Time
	digest string
	epochs map[string]uint64
	lost   bool
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{now: time.Unix(1000, 0), digest: "d1", epochs: map[string]uint64{}}
	var err error
	r.cache, err = pdp.NewCached(pdp.CacheConfig{
		Next: &r.next, PolicyDigest: func() string { return r.digest }, Now: func() time.Time { return r.now },
		Epochs: func(_ context.Context, subject string) (uint64, error) {
			if r.lost {
				return 0, errors.New("nobody can say")
			}
			return r.epochs[subject] + 1, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) ask(t *testing.T, p *principal.Principal, res pdp.Resource, action string) (cached bool) {
	t.Helper()
	d, err := r.cache.Check(t.Context(), p, res, action)
	if err != nil {
		t.Fatal(err)
	}
	return d.Cached != ""
}

func TestCacheForgets(t *testing.T) {
	t.Parallel()
	caller := func(edit func(*principal.Caller, *principal.Tenant)) *principal.Principal {
		return member("tenantry-app", edit, "member")
	}
	ours, theirs := resource("project", nil), resource("project", map[string]any{"org_id": globex})
	p := caller(nil)
	cases := map[string]struct {
		action string
		res    pdp.Resource
		change func(r *rig)
		p2     *principal.Principal
		r2     *pdp.Resource
		want   bool // still remembered
	}{
		"nothing changed":                      {"read", ours, func(*rig) {}, p, nil, true},
		"another principal alike":              {"read", ours, func(*rig) {}, caller(nil), nil, true},
		"allow within its time":                {"read", ours, func(r *rig) { r.now = r.now.Add(pdp.DefaultAllowTTL - 1) }, p, nil, true},
		"allow after its time":                 {"read", ours, func(r *rig) { r.now = r.now.Add(pdp.DefaultAllowTTL) }, p, nil, false},
		"deny within its time":                 {"delete", ours, func(r *rig) { r.now = r.now.Add(pdp.DefaultDenyTTL - 1) }, p, nil, true},
		"deny after its time":                  {"delete", ours, func(r *rig) { r.now = r.now.Add(pdp.DefaultDenyTTL) }, p, nil, false},
		"policies":                             {"read", ours, func(r *rig) { r.digest = "d2" }, p, nil, false},
		"organisation":                         {"read", ours, func(r *rig) { r.epochs[acme]++ }, p, nil, false},
		"other organisation":                   {"read", ours, func(r *rig) { r.epochs[globex]++ }, p, nil, true},
		"resource's organisation":              {"read", theirs, func(r *rig) { r.epochs[globex]++ }, p, nil, false},
		"user":                                 {"read", ours, func(r *rig) { r.epochs["u1"]++ }, p, nil, false},
		"everything":                           {"read", ours, func(r *rig) { r.epochs[""]++ }, p, nil, false},
		"organisation, as the tenant was read": {"read", ours, func(*rig) {}, caller(func(_ *principal.Caller, t *principal.Tenant) { t.OrgEpoch = 9 }), nil, false},
		"user, as the tenant was read":         {"read", ours, func(*rig) {}, caller(func(_ *principal.Caller, t *principal.Tenant) { t.UserEpoch = 9 }), nil, false},
		"other user":                           {"read", ours, func(r *rig) { r.epochs["u2"]++ }, p, nil, true},
		"store lost":                           {"read", ours, func(r *rig) { r.lost = true }, p, nil, false},
		"forgotten":                            {"read", ours, func(r *rig) { r.cache.Forget() }, p, nil, false},
		"second factor":                        {"read", ours, func(*rig) {}, caller(func(c *principal.Caller, _ *principal.Tenant) { c.MFALevel = 2 }), nil, false},
		"tier":                                 {"read", ours, func(*rig) {}, caller(func(_ *principal.Caller, t *principal.Tenant) { t.Tier = "free" }), nil, false},
		"other organisation asks":              {"read", ours, func(*rig) {}, caller(func(_ *principal.Caller, t *principal.Tenant) { t.OrgID = globex }), nil, false},
		"resource's organisation differs":      {"read", ours, func(*rig) {}, p, &theirs, false},
		"attribute":                            {"read", ours, func(*rig) {}, p, ptr(resource("project", map[string]any{"pii": true})), false},
		"kind":                                 {"read", ours, func(*rig) {}, p, ptr(resource("doc", nil)), false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if r.ask(t, p, tc.res, tc.action) {
				t.Fatal("the first answer came from the cache")
			}
			tc.change(r)
			res := tc.res
			if tc.r2 != nil {
				res = *tc.r2
			}
			if got := r.ask(t, tc.p2, res, tc.action); got != tc.want {
				t.Errorf("remembered: %v, want %v", got, tc.want)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestCacheRemembersNoErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.next.err = pdp.ErrUnavailable
	p, res := member("tenantry-app", nil, "member"), resource("project", nil)
	for range 2 {
		if d, err := r.cache.Check(t.Context(), p, res, "read"); !errors.Is(err, pdp.ErrUnavailable) || d.Allowed {
			t.Fatalf("got %+v, %v", d, err)
		}
		if plan, err := r.cache.Plan(t.Context(), p, "read", "project", nil); !errors.Is(err, pdp.ErrUnavailable) || !plan.AlwaysDenied() {
			t.Fatalf("got %+v, %v", plan, err)
		}
	}
	if n := r.next.asked.Load(); n != 4 {
		t.Errorf("asked %d times, want 4", n)
	}
}

func TestCacheAsksForTheRest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := member("tenantry-app", nil, "member")
	one, two := resource("project", nil), resource("doc", nil)
	r.ask(t, p, one, "read")
	got, err := r.cache.CheckAll(t.Context(), p, []pdp.Query{{Resource: one, Actions: []string{"read", "delete"}}, {Resource: two, Actions: []string{"read"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got[0]["read"].Cached != pdp.LayerMemory || got[0]["delete"].Cached != "" || got[0]["delete"].Allowed || got[1]["read"].Cached != "" || !got[1]["read"].Allowed {
		t.Errorf("got %+v", got)
	}
	if n := r.next.asked.Load(); n != 3 {
		t.Errorf("asked for %d decisions, want 3", n)
	}
	if !r.ask(t, p, two, "read") {
		t.Error("the answer of a batch was not remembered")
	}
}

func TestCacheRemembersPlans(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := member("tenantry-app", nil, "member")
	for range 2 {
		if plan, err := r.cache.Plan(t.Context(), p, "read", "project", map[string]any{"org_id": acme}); err != nil || !plan.AlwaysAllowed() {
			t.Fatal(plan, err)
		}
	}
	if n := r.next.asked.Load(); n != 1 {
		t.Errorf("asked %d times, want 1", n)
	}
}

func TestEqualQuestionsShareOneFlight(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.next.entered, r.next.release = make(chan struct{}), make(chan struct{})
	p, res := member("tenantry-app", nil, "member"), resource("project", nil)
	first := make(chan error)
	go func() {
		_, err := r.cache.Check(t.Context(), p, res, "read")
		first <- err
	}()
	<-r.next.entered
	left, leave := context.WithCancel(t.Context())
	leave() // somebody who waits gives up; the flight goes on
	if _, err := r.cache.Check(left, p, res, "read"); !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left got %v", err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if d, err := r.cache.Check(t.Context(), p, res, "read"); err != nil || !d.Allowed {
				t.Errorf("got %+v, %v", d, err)
			}
		})
	}
	close(r.next.release)
	wait.Wait()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n := r.next.asked.Load(); n != 1 {
		t.Errorf("asked %d times, want 1", n)
	}
}

func BenchmarkCachedCheck(b *testing.B) {
	cache, err := pdp.NewCached(pdp.CacheConfig{Next: client(b)})
	if err != nil {
		b.Fatal(err)
	}
	p, r := member("tenantry-app", nil, "member"), resource("project", nil)
	for b.Loop() {
		if d, err := cache.Check(b.Context(), p, r, "read"); err != nil || !d.Allowed {
			b.Fatal(d, err)
		}
	}
}
