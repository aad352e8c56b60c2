package gateway

import (
	"regexp"
	"strings"
	"testing"

	deployed "encore.app/infra/deploy/prometheus"
	"github.com/prometheus/client_golang/prometheus"

	// What else of the app measures something.
	_ "encore.app/infra/edge/ops"
	_ "encore.app/licensing"
)

var described = regexp.MustCompile(`fqName: "([^"]+)".* variableLabels: \{([^}]*)\}`)

// The names, with their labels, are what dashboards and alerts rely on: docs/metrics.md has them all.
func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	documented, err := deployed.Documented("../../..")
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan *prometheus.Desc)
	go func() {
		defer close(all)
		prometheus.DefaultRegisterer.(*prometheus.Registry).Describe(all)
	}()
	for d := range all {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("cannot read %s", d)
		}
		name, labels := m[1], m[2]
		if !strings.HasPrefix(name, "tenantry_") {
			continue
		}
		if got, there := documented[name]; !there {
			t.Errorf("not documented: %s", d)
		} else if got.Labels != labels {
			t.Errorf("%s has the labels %q, documented are %q", name, labels, got.Labels)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("documented and not there: %s", name)
	}
}
