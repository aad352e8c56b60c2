//go:build stockhost

package metrics

import (
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"encore.dev/internal/registry"
)

type labels struct {
	OrgID string
	Code  int
	OK    bool
}

var (
	signups  = NewCounter[uint64]("signups", CounterConfig{})
	requests = NewCounterGroup[labels, float64]("requests", CounterConfig{})
	open     = NewGauge[int64]("open_things", GaugeConfig{})
	falling  = NewCounter[int64]("falling", CounterConfig{})
	depth    = NewGaugeGroup[labels, int64]("depth", GaugeConfig{})
)

func TestMain(m *testing.M) {
	registry.Process().AddService(&registry.Service{Name: "billing", Package: "encore.dev/metrics"})
	os.Exit(m.Run())
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	signups.Increment()
	signups.Add(2)
	requests.With(labels{"acme", 200, true}).Add(1.5)
	requests.With(labels{"acme", 200, true}).Increment()
	requests.With(labels{"globex", 500, false}).Increment()
	open.Set(5)
	open.Add(-2)
	depth.With(labels{OrgID: "acme"}).Set(7)
	want := `
# HELP depth Declared in encore.dev/metrics.
# TYPE depth gauge
depth{code="0",ok="false",org_id="acme",service="billing"} 7
# HELP open_things Declared in encore.dev/metrics.
# TYPE open_things gauge
open_things{service="billing"} 3
# HELP requests Declared in encore.dev/metrics.
# TYPE requests counter
requests{code="200",ok="true",org_id="acme",service="billing"} 2.5
requests{code="500",ok="false",org_id="globex",service="billing"} 1
# HELP signups Declared in encore.dev/metrics.
# TYPE signups counter
signups{service="billing"} 3
`
	if err := testutil.GatherAndCompare(prometheus.DefaultGatherer, strings.NewReader(want), "depth", "open_things", "requests", "signups"); err != nil {
		t.Fatal(err)
	}
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(){
		"negative counter": func() { falling.Add(-1) },
		"reserved label":   func() { NewCounterGroup[struct{ Service string }, uint64]("x", CounterConfig{}) },
		"label of floats":  func() { NewGaugeGroup[struct{ F float64 }, uint64]("y", GaugeConfig{}) },
		"labels no struct": func() { NewGaugeGroup[string, uint64]("z", GaugeConfig{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			use()
		})
	}
}
