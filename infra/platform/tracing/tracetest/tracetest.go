// Package tracetest is a collector of traces for tests: it takes OTLP over HTTP and keeps every span.
package tracetest

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is what was said of one step. Ids are hexadecimal; Parent is "" for the first of its trace.
type Span struct {
	Name, Trace, ID, Parent string
	Kind                    trace.Span_SpanKind
	Failed                  bool
	Attributes              map[string]string
	Raw                     *trace.Span
}

// Collector is a running collector.
type Collector struct {
	URL string

	mu    sync.Mutex
	spans []Span
	came  chan struct{} // closed and replaced when something comes
}

// Start runs a collector until the test ends.
func Start(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{came: make(chan struct{})}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// ServeHTTP takes one export.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	req := new(collector.ExportTraceServiceRequest)
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, req) != nil {
		http.Error(w, "this takes OTLP traces", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range req.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, read(s))
			}
		}
	}
	close(c.came)
	c.came = make(chan struct{})
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func read(s *trace.Span) Span {
	out := Span{
		Name: s.GetName(), Kind: s.GetKind(), Failed: s.GetStatus().GetCode() == trace.Status_STATUS_CODE_ERROR,
		Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
		Attributes: map[string]string{}, Raw: s,
	}
	for _, a := range s.GetAttributes() {
		out.Attributes[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return out
}

// Await is the spans of a trace as soon as enough says that they are, or the test fails.
func (c *Collector) Await(t testing.TB, trace string, enough func([]Span) bool) []Span {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		c.mu.Lock()
		var found []Span
		for _, s := range c.spans {
			if s.Trace == trace {
				found = append(found, s)
			}
		}
		came := c.came
		c.mu.Unlock()
		if enough(found) {
			return found
		}
		select {
		case <-came:
		case <-late:
			for _, s := range found {
				t.Logf("%s %s under %q: %s %v", s.Trace, s.ID, s.Parent, s.Name, s.Attributes)
			}
			t.Fatalf("of trace %s these %d spans came, and others were wanted", trace, len(found))
		}
	}
}

// All is every span that has come.
func (c *Collector) All() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Find is the first span of that name.
func Find(spans []Span, name string) (Span, bool) {
	for _, s := range spans {
		if s.Name == name {
			return s, true
		}
	}
	return Span{}, false
}
