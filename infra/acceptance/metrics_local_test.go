//go:build acceptance && local

package acceptance

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"encore.app/infra/deploy/prometheus"
)

// What docs/metrics.md promises, and dashboards and alerts rely on, is what a running app tells after
// one change; no more, and only to those who know OPS_TOKEN.
func TestARunningAppTellsWhatIsDocumented(t *testing.T) {
	const token = "0123456789abcdef-operators"
	a := observed(t, "OPS_TOKEN="+token, "RATE_LIMITS=")
	known, err := prometheus.Documented("../..")
	if err != nil {
		t.Fatal(err)
	}
	if tryCreate(a, t, unique("measured")) == "" {
		t.Fatal("no project was made")
	}
	metrics := func(bearer string) reply {
		return call(t, bearer, "GET", "/metrics", nil, func(r *http.Request) { r.URL.Host = strings.TrimPrefix(a.base, "http://") })
	}
	for _, wrong := range []string{"", "wrong", bobApp.token(t)} {
		if r := metrics(wrong); r.status != http.StatusUnauthorized || bytes.Contains(r.body, []byte("tenantry_")) {
			t.Errorf("with %.10q: got %d", wrong, r.status)
		}
	}
	told := map[string]string{}
	eventually(t, 30*time.Second, "everything has been measured once", func() bool {
		told = types(t, metrics(token))
		for name := range known {
			if told[name] == "" {
				t.Logf("not yet: %s", name)
				return false
			}
		}
		return true
	})
	for name, kind := range told {
		if strings.HasPrefix(name, "tenantry_") && known[name].Type != kind {
			t.Errorf("%s is a %s, documented is %q", name, kind, known[name].Type)
		}
	}

	rules, err := prometheus.Rules("../..")
	if err != nil {
		t.Fatal(err)
	}
	boards, err := prometheus.Dashboards("../..")
	if err != nil {
		t.Fatal(err)
	}
	check := func(where, expr string) {
		for _, name := range prometheus.Names(expr, known) {
			if told[name] == "" {
				t.Errorf("%s looks at %s, which a running app does not tell", where, name)
			}
		}
	}
	for _, r := range rules {
		check(r.Alert, r.Expr)
	}
	for file, exprs := range boards {
		for _, e := range exprs {
			check(file, e)
		}
	}
}

// types are the metrics of a scrape with their types.
func types(t *testing.T, r reply) map[string]string {
	t.Helper()
	if r.status != http.StatusOK {
		t.Fatalf("got %d: %s", r.status, r.body)
	}
	out := map[string]string{}
	for scan := bufio.NewScanner(bytes.NewReader(r.body)); scan.Scan(); {
		if words := strings.Fields(scan.Text()); len(words) == 4 && words[1] == "TYPE" {
			out[words[2]] = words[3]
		}
	}
	return out
}
