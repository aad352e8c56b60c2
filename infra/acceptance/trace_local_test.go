//go:build acceptance && local

package acceptance

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"encore.app/infra/platform/tracing/tracetest"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
)

// observed starts the app on a database of this test's own, with variables of its own.
func observed(t *testing.T, env ...string) *app { return observedOn(t, scratch(t), env...) }

func observedOn(t *testing.T, database string, env ...string) *app {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := startApp(ctx, appConfig{database: database, seed: true, env: env})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	return a
}

// One request, one trace: over HTTP, into the database, to the decision point, through the outbox and
// the broker, to the worker that writes the audit log.
func TestOneTraceSpansTheWholeWay(t *testing.T) {
	collector := tracetest.Start(t)
	a := observed(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_BSP_SCHEDULE_DELAY=100")
	const traceID, callerID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	body := map[string]any{"title": "canary-title", "sensitivity": "internal", "pii": false}
	r := at(a, t, bobApp, "POST", "/api/v1/app/orgs/"+acme+"/projects", body, func(r *http.Request) {
		r.Header.Set("Traceparent", "00-"+traceID+"-"+callerID+"-01")
	})
	want[project](t, r, http.StatusCreated)

	hops := []string{"orgs.CreateProject", "cerbos CheckResources", "transaction", "INSERT orgs.projects", "outbox audit-events", "publish audit-events", "process audit-log", "INSERT audit.events"}
	spans := collector.Await(t, traceID, func(all []tracetest.Span) bool {
		for _, name := range hops {
			if _, found := tracetest.Find(all, name); !found {
				return false
			}
		}
		return true
	})
	byID := map[string]tracetest.Span{}
	for _, s := range spans {
		byID[s.ID] = s
	}
	for _, want := range []struct {
		name, parent string
		kind         trace.Span_SpanKind
	}{
		{"cerbos CheckResources", "orgs.CreateProject", trace.Span_SPAN_KIND_CLIENT},
		{"transaction", "orgs.CreateProject", trace.Span_SPAN_KIND_INTERNAL},
		{"INSERT orgs.projects", "transaction", trace.Span_SPAN_KIND_CLIENT},
		{"INSERT platform.outbox", "transaction", trace.Span_SPAN_KIND_CLIENT},
		{"outbox audit-events", "orgs.CreateProject", trace.Span_SPAN_KIND_INTERNAL},
		{"publish audit-events", "outbox audit-events", trace.Span_SPAN_KIND_PRODUCER},
		{"process audit-log", "publish audit-events", trace.Span_SPAN_KIND_CONSUMER},
		{"INSERT audit.events", "process audit-log", trace.Span_SPAN_KIND_CLIENT},
	} {
		s, found := tracetest.Find(spans, want.name)
		if parent := byID[s.Parent]; !found || parent.Name != want.parent || s.Kind != want.kind {
			t.Errorf("%s: %v, %s, under %q, want under %q", want.name, found, s.Kind, parent.Name, want.parent)
		}
	}
	request, _ := tracetest.Find(spans, "orgs.CreateProject")
	if request.Parent != callerID || request.Kind != trace.Span_SPAN_KIND_SERVER || request.Attributes["tenantry.request_id"] == "" {
		t.Errorf("got %+v", request)
	}
	for _, s := range collector.All() {
		if text := s.Raw.String(); strings.Contains(text, "canary") || strings.Contains(text, "@acme") || strings.Contains(text, "eyJ") {
			t.Errorf("%s tells too much: %s", s.Name, text)
		}
	}

	// A caller who does not trace is traced under the id that the log has; one who said no is not.
	untraced := "11111111111111111111111111111111"
	at(a, t, bobApp, "GET", "/api/v1/me", nil, func(r *http.Request) { r.Header.Set("Traceparent", "00-"+untraced+"-"+callerID+"-00") })
	at(a, t, bobApp, "GET", "/api/v1/me", nil)
	a.stop() // sends what was not sent
	own := 0
	for _, s := range collector.All() {
		if s.Trace == untraced {
			t.Errorf("traced against the caller's will: %+v", s)
		}
		if s.Name == "orgs.Me" && s.Parent == "" {
			own++
		}
	}
	if own != 1 {
		t.Errorf("%d traces of the app's own, want 1", own)
	}
}
