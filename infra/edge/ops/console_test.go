package ops

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestConsole(t *testing.T) {
	before := secrets.OIDC_ISSUER_URL
	t.Cleanup(func() { secrets.OIDC_ISSUER_URL = before })
	secrets.OIDC_ISSUER_URL = "https://id.example.com/realms/x"
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		if path == "/ops" {
			(&Service{}).Console(w, r)
		} else {
			(&Service{}).ConsoleFile(w, r)
		}
		return w
	}
	for path, kind := range map[string]string{
		"/ops": "text/html", "/ops/callback": "text/html", "/ops/app.js": "text/javascript", "/ops/console.css": "text/css", "/ops/config.json": "application/json",
	} {
		w := ask(path)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasSuffix(csp, "connect-src 'self' https://id.example.com") {
			t.Errorf("%s: %s", path, csp)
		}
	}
	var config struct{ Issuer, Client string }
	if err := json.Unmarshal(ask("/ops/config.json").Body.Bytes(), &config); err != nil || config.Issuer != secrets.OIDC_ISSUER_URL || config.Client != consoleClient {
		t.Errorf("%+v, %v", config, err)
	}
	for _, path := range []string{"/ops/nothing.js", "/ops/console.go", "/ops/.."} {
		if w := ask(path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestTheOverviewAddsUpWhatWasMeasured(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tenantry_request_duration_seconds", Buckets: []float64{.001, .01, .1}}, []string{"route", "status"})
	decided := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenantry_authz_decisions_total"}, []string{"layer", "effect"})
	dead := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tenantry_outbox_dead"}, []string{"topic"})
	registry.MustRegister(took, decided, dead)
	for range 98 {
		took.WithLabelValues("a.Read", "200").Observe(.0005)
	}
	took.WithLabelValues("a.Read", "404").Observe(.05)
	took.WithLabelValues("a.Read", "500").Observe(5)
	took.WithLabelValues("b.Read", "200").Observe(.005)
	decided.WithLabelValues("memory", "allow").Add(3)
	decided.WithLabelValues("memory", "deny").Add(1)
	dead.WithLabelValues("x").Set(1)
	dead.WithLabelValues("y").Set(2)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := overviewOf(families)
	if len(got.Requests) != 2 || got.Requests[0] != (RouteOverview{Route: "a.Read", Count: 100, Refused: 1, Failed: 1, P50MS: 1, P99MS: 100}) || got.Requests[1].P99MS != 10 {
		t.Errorf("requests %+v", got.Requests)
	}
	if len(got.Decisions) != 1 || got.Decisions[0] != (SourceOverview{"memory", 4}) || got.Outbox.Dead != 3 {
		t.Errorf("%+v", got)
	}
	if empty := overviewOf(nil); empty.Requests == nil || empty.Decisions == nil {
		t.Error("null instead of an empty list")
	}
}
