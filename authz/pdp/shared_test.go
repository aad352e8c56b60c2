package pdp_test

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/authz/pdp"
	"encore.app/authz/principal"
	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// replica is a cache of one process in front of a decision point and a Redis that others use too.
func replica(t *testing.T, next pdp.Decider, shared pdp.Shared, now func() time.Time) *pdp.Cached {
	t.Helper()
	c, err := pdp.NewCached(pdp.CacheConfig{Next: next, Shared: shared, Now: now, PolicyDigest: func() string { return "d1" }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// store is a Redis of the test's own, and a client to it.
func store(t *testing.T) (*miniredis.Miniredis, *pdp.Redis) {
	t.Helper()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true, MaxRetries: -1})
	if err := client.Ping(t.Context()).Err(); err != nil { // connects, for which a look does not wait
		t.Fatal(err)
	}
	shared := pdp.NewRedis(client, []byte("key"))
	t.Cleanup(func() { shared.Close(); _ = client.Close() })
	return server, shared
}

// kept waits until the writer has saved n answers.
func kept(t *testing.T, server *miniredis.Miniredis, n int) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(server.Keys()) < n {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d of %d answers were kept", len(server.Keys()), n)
		}
	}
}

func TestReplicasShareWhatTheyLearned(t *testing.T) {
	t.Parallel()
	server, shared := store(t)
	var next decider
	clock := time.Now()
	now := func() time.Time { return clock }
	a, b := replica(t, &next, shared, now), replica(t, &next, shared, now)
	p := member("tenantry-app", nil, "member")
	queries := []pdp.Query{{Resource: resource("project", nil), Actions: []string{"read", "delete"}}, {Resource: resource("doc", nil), Actions: []string{"read"}}}
	if _, err := a.CheckAll(t.Context(), p, queries); err != nil {
		t.Fatal(err)
	}
	kept(t, server, 3)
	got, err := b.CheckAll(t.Context(), p, queries)
	if err != nil {
		t.Fatal(err)
	}
	for i, answers := range got {
		for action, d := range answers {
			if d.Cached != pdp.LayerRedis || d.Allowed != (action != "delete") || d.ID == "" {
				t.Errorf("%d %s: %+v", i, action, d)
			}
		}
	}
	if n := next.asked.Load(); n != 3 {
		t.Errorf("asked for %d decisions, want 3", n)
	}
	if d, err := b.Check(t.Context(), p, queries[0].Resource, "read"); err != nil || d.Cached != pdp.LayerMemory {
		t.Errorf("not remembered here: %+v %v", d, err)
	}
	// What came from Redis lives here no longer than it would have lived there.
	clock = clock.Add(pdp.DefaultAllowTTL)
	server.FastForward(pdp.DefaultAllowTTL)
	if d, err := b.Check(t.Context(), p, queries[0].Resource, "read"); err != nil || d.Cached != "" {
		t.Errorf("it outlived its time: %+v %v", d, err)
	}
}

func TestReplicasSharePlans(t *testing.T) {
	t.Parallel()
	server, shared := store(t)
	c := client(t)
	a, b := replica(t, c, shared, nil), replica(t, c, shared, nil)
	p := member("tenantry-app", func(_ *principal.Caller, t *principal.Tenant) {
		t.Teams = []principal.Team{{ID: ourTeam, Roles: []string{"lead"}}}
	}, "member")
	known := map[string]any{"org_id": acme, "org_status": "active", "license_tier": "enterprise"}
	fresh, err := a.Plan(t.Context(), p, "read", "project", known)
	if err != nil {
		t.Fatal(err)
	}
	kept(t, server, 1)
	shown, err := b.Plan(t.Context(), p, "read", "project", known)
	if err != nil || shown.Cached != pdp.LayerRedis || shown.DecisionID != fresh.DecisionID {
		t.Fatalf("got %+v %v", shown, err)
	}
	want, args, err := fresh.SQL(columns, 1)
	if err != nil {
		t.Fatal(err)
	}
	got, again, err := shown.SQL(columns, 1)
	if err != nil || got != want || len(args) != len(again) {
		t.Errorf("%s %v %v, want %s %v", got, again, err, want, args)
	}
}

func TestRedisKnowsNobodysAttributes(t *testing.T) {
	t.Parallel()
	server, shared := store(t)
	c := replica(t, client(t), shared, nil)
	p := member("tenantry-app", func(c *principal.Caller, _ *principal.Tenant) { c.UserID = "canary-user" }, "member")
	if _, err := c.Check(t.Context(), p, resource("project", map[string]any{"owner_id": "canary-owner"}), "read"); err != nil {
		t.Fatal(err)
	}
	kept(t, server, 1)
	for _, name := range server.Keys() {
		text, err := server.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(name+text, "canary") {
			t.Errorf("%s = %s", name, text)
		}
		if ttl := server.TTL(name); ttl <= 0 || ttl > pdp.DefaultAllowTTL {
			t.Errorf("%s lives for %s", name, ttl)
		}
	}
}

func TestWhatRedisSaysIsNotTakenOnTrust(t *testing.T) {
	t.Parallel()
	expired, later := "\x02", "\xfe\xff\xff\xff\xff\xff\x1f" // as the moments until which an answer is good
	allow := "t\x01x\x00\x00\x00\x00\x00"
	for name, text := range map[string]string{
		"nothing of ours":  "ok",
		"expired":          "d1" + expired + allow,
		"another form":     "d2" + later + allow,
		"no decision":      "d1" + later + "t\x00\x00\x00\x00\x00\x00",
		"no effect":        "d1" + later + "x" + allow[1:],
		"cut off":          "d1" + later + allow[:4],
		"something behind": "d1" + later + allow + "t",
		"a huge length":    "d1" + later + "t\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"a broken plan":    "p1" + later + `{"k":9}`,
		"too long":         "d1" + later + allow + strings.Repeat("x", 16<<10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, shared := store(t)
			var next decider
			p, res := member("tenantry-app", nil, "member"), resource("project", nil)
			if _, err := replica(t, &next, shared, nil).Check(t.Context(), p, res, "delete"); err != nil {
				t.Fatal(err)
			}
			kept(t, server, 1)
			put(t, server, shared, text)
			d, err := replica(t, &next, shared, nil).Check(t.Context(), p, res, "delete")
			if err != nil || d.Allowed || d.Cached != "" {
				t.Errorf("got %+v %v", d, err)
			}
		})
	}
}

// The value that the test above breaks in every way is one that would be believed.
func TestAWholeValueIsBelieved(t *testing.T) {
	t.Parallel()
	server, shared := store(t)
	var next decider
	p, res := member("tenantry-app", nil, "member"), resource("project", nil)
	if _, err := replica(t, &next, shared, nil).Check(t.Context(), p, res, "delete"); err != nil {
		t.Fatal(err)
	}
	kept(t, server, 1)
	put(t, server, shared, "d1\xfe\xff\xff\xff\xff\xff\x1ft\x01x\x00\x00\x00\x00\x00")
	d, err := replica(t, &next, shared, nil).Check(t.Context(), p, res, "delete")
	if err != nil || !d.Allowed || d.ID != "x" || d.Cached != pdp.LayerRedis {
		t.Errorf("got %+v %v", d, err)
	}
}

// put replaces the one answer that is kept, under its seal.
func put(t *testing.T, server *miniredis.Miniredis, shared *pdp.Redis, text string) {
	t.Helper()
	name := server.Keys()[0]
	raw, err := hex.DecodeString(strings.TrimPrefix(name, "authz:"))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Set(name, string(shared.Seal(pdp.Key(raw), []byte(text)))); err != nil {
		t.Fatal(err)
	}
}

// Whoever writes to Redis without the key is not believed: neither what they made up, nor an answer to
// another question.
func TestAnAnswerIsBelievedUnderItsSealAlone(t *testing.T) {
	t.Parallel()
	server, shared := store(t)
	var next decider
	p, res := member("tenantry-app", nil, "member"), resource("project", nil)
	first := replica(t, &next, shared, nil)
	if d, err := first.Check(t.Context(), p, res, "read"); err != nil || !d.Allowed {
		t.Fatalf("got %+v %v", d, err)
	}
	kept(t, server, 1)
	allowed, err := server.Get(server.Keys()[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Check(t.Context(), p, res, "delete"); err != nil {
		t.Fatal(err)
	}
	kept(t, server, 2)
	for name, text := range map[string]string{
		"made up":                     "d1\xfe\xff\xff\xff\xff\xff\x1ft\x01x\x00\x00\x00\x00\x00",
		"made up, with some seal":     strings.Repeat("s", 32) + "d1\xfe\xff\xff\xff\xff\xff\x1ft\x01x\x00\x00\x00\x00\x00",
		"of another question":         allowed,
		"under another's seal":        allowed[:32] + "d1\xfe\xff\xff\xff\xff\xff\x1ft\x01x\x00\x00\x00\x00\x00",
		"nothing but a seal's length": strings.Repeat("s", 32),
	} {
		for _, key := range server.Keys() {
			if err := server.Set(key, text); err != nil {
				t.Fatal(err)
			}
		}
		d, err := replica(t, &next, shared, nil).Check(t.Context(), p, res, "delete")
		if err != nil || d.Allowed { // an honest denial may be there again already
			t.Errorf("%s: got %+v %v", name, d, err)
		}
	}
}

func TestALostRedisCostsNothingButTime(t *testing.T) {
	t.Parallel()
	server, shared := store(t)
	var next decider
	c := replica(t, &next, shared, nil)
	server.Close()
	for i := range 50 {
		start := time.Now()
		d, err := c.Check(t.Context(), member("tenantry-app", nil, "member"), resource("project", map[string]any{"owner_id": string(rune('a' + i))}), "read")
		if err != nil || !d.Allowed || d.Cached != "" {
			t.Fatalf("got %+v %v", d, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %s", took)
		}
	}
}

// A herd of requests for one answer costs the decision point one question, and so does a herd of
// equal batches.
func TestAHerdAsksOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.next.entered, r.next.release = make(chan struct{}, 1000), make(chan struct{})
	p := member("tenantry-app", nil, "member")
	batch := []pdp.Query{{Resource: resource("doc", nil), Actions: []string{"read", "update"}}}
	const herd = 64
	arrived := make(chan struct{}, 2*herd)
	var wait sync.WaitGroup
	for range herd {
		wait.Go(func() {
			arrived <- struct{}{}
			if d, err := r.cache.Check(t.Context(), p, resource("project", nil), "read"); err != nil || !d.Allowed {
				t.Errorf("got %+v, %v", d, err)
			}
		})
		wait.Go(func() {
			arrived <- struct{}{}
			if got, err := r.cache.CheckAll(t.Context(), p, batch); err != nil || !got[0]["update"].Allowed {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for range 2 * herd {
		<-arrived
	}
	<-r.next.entered // one of them is asking; the others wait for it or find what it left
	close(r.next.release)
	wait.Wait()
	if n := r.next.asked.Load(); n != 3 {
		t.Errorf("asked for %d decisions, want 3", n)
	}
}

// While the decision point is away, what was allowed moments ago stays allowed for its time and
// nothing else is; once it is back, it is asked again within two seconds.
func TestOutage(t *testing.T) {
	t.Parallel()
	server := own(t)
	asked := clientOf(t, server.Addr)
	clock := time.Now()
	c := replica(t, asked, nil, func() time.Time { return clock })
	p, res := member("tenantry-app", nil, "member"), resource("project", nil)
	if d, err := c.Check(t.Context(), p, res, "read"); err != nil || !d.Allowed {
		t.Fatal(d, err)
	}
	server.Kill()
	if d, err := c.Check(t.Context(), p, res, "read"); err != nil || !d.Allowed || d.Cached != pdp.LayerMemory {
		t.Errorf("within its time: %+v %v", d, err)
	}
	for range 3 {
		start := time.Now()
		if d, err := c.Check(t.Context(), p, resource("doc", nil), "read"); !errors.Is(err, pdp.ErrUnavailable) || d.Allowed {
			t.Errorf("something new: %+v %v", d, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("it took %s to say so", took)
		}
	}
	clock = clock.Add(pdp.DefaultAllowTTL)
	if d, err := c.Check(t.Context(), p, res, "read"); !errors.Is(err, pdp.ErrUnavailable) || d.Allowed {
		t.Errorf("after its time: %+v %v", d, err)
	}
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if d, err := c.Check(ctx, p, res, "read"); err == nil && d.Allowed {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it never recovered")
		}
	}
	took := time.Since(back)
	t.Logf("recovered in %s", took)
	if took > 2*time.Second {
		t.Errorf("recovered in %s, not within 2s", took)
	}
}

// TestTheConfiguredRedis is the round trip through the Redis that REDIS_URL names, which make test
// starts; elsewhere it is an embedded one.
func TestTheConfiguredRedis(t *testing.T) {
	t.Parallel()
	url := os.Getenv("REDIS_URL")
	if url == "" {
		url = "redis://" + miniredis.RunT(t).Addr()
	}
	opts, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opts)
	shared := pdp.NewRedis(client, []byte("key"))
	t.Cleanup(func() { shared.Close(); _ = client.Close() })
	var next decider
	p := member("tenantry-app", func(c *principal.Caller, _ *principal.Tenant) { c.UserID = t.Name() + time.Now().String() }, "member")
	a, b := replica(t, &next, shared, nil), replica(t, &next, shared, nil)
	if _, err := a.Check(t.Context(), p, resource("project", nil), "read"); err != nil {
		t.Fatal(err)
	}
	var layers []string
	for range 500 {
		d, err := b.Check(t.Context(), p, resource("project", nil), "read")
		if err != nil {
			t.Fatal(err)
		}
		if layers = append(layers, d.Cached); d.Cached == pdp.LayerRedis {
			return
		}
		b.Forget()
	}
	t.Errorf("never came from Redis: %v", slices.Compact(layers))
}
