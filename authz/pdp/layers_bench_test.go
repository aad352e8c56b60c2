package pdp_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"encore.app/authz/pdp"
	"encore.app/authz/pdp/pdptest"
	"github.com/alicebob/miniredis/v2"
	"github.com/cerbos/cerbos-sdk-go/cerbos"
	"github.com/redis/go-redis/v9"
)

// Of every way there are benchRounds rounds of benchEach calls, taken in turns, so that whatever else
// the machine does falls on all of them alike. A figure is the median of all calls.
const (
	benchRounds = 12
	benchEach   = 50
)

// way is one thing that is timed.
type way struct {
	name  string
	calls int // timed together, where one is too short for the clock
	do    func(n int)
	took  []time.Duration
}

func (w *way) median() time.Duration {
	slices.Sort(w.took)
	return w.took[len(w.took)/2]
}

// BenchmarkLayers times a decision from each layer beside the bare call below it.
func BenchmarkLayers(b *testing.B) {
	ctx := context.Background()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	url := os.Getenv("REDIS_URL")
	if url == "" {
		url = "redis://" + miniredis.RunT(b).Addr()
	}
	opts, err := redis.ParseURL(url)
	must(err)
	opts.ContextTimeoutEnabled = true // as the app has it
	client := redis.NewClient(opts)
	b.Cleanup(func() { _ = client.Close() })
	shared := pdp.NewRedis(client, []byte("key"))
	b.Cleanup(shared.Close)
	asked := clientOf(b, pdptest.Addr())
	chain := func(shared pdp.Shared) (*pdp.Measured, *pdp.Cached) {
		cache, err := pdp.NewCached(pdp.CacheConfig{Next: asked, Shared: shared, AllowTTL: time.Hour,
			Epochs: func(context.Context, string) (uint64, error) { return 1, nil }})
		must(err)
		return pdp.NewMeasured(cache), cache
	}
	whole, _ := chain(shared)
	// Another replica, which forgets everything each time; it never held much, or that would take long.
	replica, cache := chain(shared)
	p, res := member("tenantry-app", nil, "member"), resource("project", nil)
	check := func(d pdp.Decision, err error, layer string) {
		if err != nil || !d.Allowed || d.Cached != layer {
			b.Fatalf("got %+v %v, want it from %q", d, err, layer)
		}
	}
	_, err = whole.Check(ctx, p, res, "read")
	must(err)
	becomesShared := func() bool {
		cache.Forget()
		d, err := replica.Check(ctx, p, res, "read")
		must(err)
		return d.Cached == pdp.LayerRedis
	}
	for start := time.Now(); !becomesShared(); {
		if time.Since(start) > 10*time.Second {
			b.Fatal("nothing is shared")
		}
	}
	value := make([]byte, 300) // what a decision comes to
	must(client.Set(ctx, "authz:bench", value, time.Hour).Err())
	sdk, err := cerbos.New(pdptest.Addr(), cerbos.WithPlaintext())
	must(err)
	fresh := strconv.FormatInt(time.Now().UnixNano(), 36)
	asker := cerbos.NewPrincipal(p.ID(), p.Roles()...)
	form, err := p.Cerbos()
	must(err)
	for name, v := range form.Proto().GetAttr() {
		asker = asker.WithAttr(name, v.AsInterface())
	}
	const many = 50
	batch := make([]pdp.Query, many)
	ways := []*way{
		{name: "memory", calls: 200, do: func(int) {
			d, err := whole.Check(ctx, p, res, "read")
			check(d, err, pdp.LayerMemory)
		}},
		{name: "bare GET", calls: 1, do: func(int) { must(client.Get(ctx, "authz:bench").Err()) }},
		{name: "Redis", calls: 1, do: func(int) {
			cache.Forget()
			d, err := replica.Check(ctx, p, res, "read")
			check(d, err, pdp.LayerRedis)
		}},
		{name: "bare SDK", calls: 1, do: func(n int) {
			r := cerbos.NewResource("project", fresh+"s"+strconv.Itoa(n)).WithAttributes(res.Attr)
			set := cerbos.NewResourceBatch().Add(r, "read")
			if got, err := sdk.CheckResources(ctx, asker, set); err != nil || !got.GetResource(fresh+"s"+strconv.Itoa(n)).IsAllowed("read") {
				b.Fatal(got, err)
			}
		}},
		{name: "miss", calls: 1, do: func(n int) {
			r := res
			r.ID = fresh + "m" + strconv.Itoa(n)
			d, err := whole.Check(ctx, p, r, "read")
			check(d, err, "")
		}},
		{name: "bare fifty", calls: 1, do: func(n int) {
			set := cerbos.NewResourceBatch()
			for i := range many {
				set.Add(cerbos.NewResource("project", fresh+"f"+strconv.Itoa(n)+"-"+strconv.Itoa(i)).WithAttributes(res.Attr), "read")
			}
			if _, err := sdk.CheckResources(ctx, asker, set); err != nil {
				b.Fatal(err)
			}
		}},
		{name: "fifty", calls: 1, do: func(n int) {
			for i := range batch {
				r := res
				r.ID = fresh + "b" + strconv.Itoa(n) + "-" + strconv.Itoa(i)
				batch[i] = pdp.Query{Resource: r, Actions: []string{"read"}}
			}
			if _, err := whole.CheckAll(ctx, p, batch); err != nil {
				b.Fatal(err)
			}
		}},
	}
	// Each beside its floor, call by call: whether the other process was awake still is most of what a
	// round trip of ten microseconds takes, and a row of the same calls keeps it awake.
	pairs := [][]*way{ways[:1], ways[1:3], ways[3:5], ways[5:7]}
	for b.Loop() {
		n := 0
		for range benchRounds {
			for _, pair := range pairs {
				for _, w := range pair {
					w.do(n) // the first of a round finds cold caches
					n++
				}
				for range benchEach {
					for _, w := range pair {
						start := time.Now()
						for range w.calls {
							w.do(n)
							n++
						}
						w.took = append(w.took, time.Since(start)/time.Duration(w.calls))
					}
				}
			}
		}
	}
	at := map[string]time.Duration{}
	for _, w := range ways {
		at[w.name] = w.median()
	}
	ratio := func(of, to string) float64 { return float64(at[of]) / float64(at[to]) }
	fmt.Printf("memory hit   %8s           at most 3µs\n", at["memory"])
	fmt.Printf("Redis hit    %8s  %5.2f × a bare GET of %s, at most 1.5\n", at["Redis"], ratio("Redis", "bare GET"), at["bare GET"])
	fmt.Printf("miss         %8s  %5.2f × the bare SDK call of %s, at most 1.15\n", at["miss"], ratio("miss", "bare SDK"), at["bare SDK"])
	fmt.Printf("50 resources %8s  %5.2f × one of them, in one call; about 7 (the bare SDK: %s, %.2f × its one)\n",
		at["fifty"], ratio("fifty", "miss"), at["bare fifty"], ratio("bare fifty", "bare SDK"))
	b.ReportMetric(float64(at["memory"].Nanoseconds()), "ns/memory-hit")
	b.ReportMetric(ratio("Redis", "bare GET"), "×GET")
	b.ReportMetric(ratio("miss", "bare SDK"), "×SDK")
	b.ReportMetric(ratio("fifty", "miss"), "×one")
}
