package tracing

import (
	"context"
	"errors"
	"testing"

	"encore.app/infra/platform/tracing/tracetest"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// on turns tracing on towards a collector for one test.
func on(t *testing.T) *tracetest.Collector {
	t.Helper()
	c := tracetest.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	if err := setup(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tracer.Store(nil) })
	return c
}

const (
	known  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent = "00f067aa0ba902b7"
)

func TestAStepIsTheCallersChild(t *testing.T) {
	c := on(t)
	ctx, request := Request(context.Background(), Caller{Traceparent: "00-" + known + "-" + parent + "-01"}, "svc.Endpoint")
	inner, step := Start(ctx, Client, "call")
	row := Traceparent(inner)
	step.End(errors.New("canary: no text of an error may leave"))
	request.End(nil)
	_, worker := Continue(context.Background(), row, Consumer, "process")
	worker.End(nil)

	spans := c.Await(t, known, func(s []tracetest.Span) bool { return len(s) == 3 })
	first, _ := tracetest.Find(spans, "svc.Endpoint")
	call, _ := tracetest.Find(spans, "call")
	process, _ := tracetest.Find(spans, "process")
	if first.Parent != parent || call.Parent != first.ID || process.Parent != call.ID {
		t.Errorf("parents: %q of the request, %q of %q, %q of %q", first.Parent, call.Parent, first.ID, process.Parent, call.ID)
	}
	if !call.Failed || call.Attributes["error.type"] != "*errors.errorString" || call.Raw.GetStatus().GetMessage() != "" || len(call.Raw.GetEvents()) > 0 {
		t.Errorf("got %+v", call)
	}
}

func TestATraceHasTheIDOfItsRequest(t *testing.T) {
	c := on(t)
	_, request := Request(context.Background(), Caller{TraceID: known}, "named")
	request.End(nil)
	if s := c.Await(t, known, func(s []tracetest.Span) bool { return len(s) == 1 })[0]; s.Parent != "" {
		t.Errorf("got %+v", s)
	}
}

func TestACallerWhoDoesNotTraceIsNotTraced(t *testing.T) {
	c := on(t)
	untraced := "00-11111111111111111111111111111111-" + parent + "-00"
	ctx, request := Request(context.Background(), Caller{Traceparent: untraced}, "untraced")
	if got := Traceparent(ctx); got == "" || got[len(got)-2:] != "00" {
		t.Errorf("those behind are told %q: they would begin a trace of their own", got)
	}
	_, step := Start(ctx, Internal, "untraced")
	step.End(nil)
	request.End(nil)
	_, worker := Continue(context.Background(), Traceparent(ctx), Consumer, "untraced")
	worker.End(nil)
	_, traced := Request(context.Background(), Caller{TraceID: known}, "traced")
	traced.End(nil)
	c.Await(t, known, func(s []tracetest.Span) bool { return len(s) == 1 })
	if _, found := tracetest.Find(c.All(), "untraced"); found {
		t.Error("it was traced")
	}
}

func TestWhatNobodyAskedForBeginsNoTrace(t *testing.T) {
	on(t)
	for name, begin := range map[string]func() (context.Context, Span){
		"a poll":                  func() (context.Context, Span) { return Start(context.Background(), Internal, "poll") },
		"a row without a trace":   func() (context.Context, Span) { return Continue(context.Background(), "", Consumer, "row") },
		"a row that says rubbish": func() (context.Context, Span) { return Continue(context.Background(), "rubbish", Consumer, "row") },
	} {
		ctx, span := begin()
		if span.On() || Traceparent(ctx) != "" {
			t.Errorf("%s began one", name)
		}
		span.End(nil)
	}
}

func TestTheEnvironmentDecides(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want bool
	}{
		"nothing":          {nil, false},
		"an endpoint":      {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, true},
		"one for traces":   {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, true},
		"switched off":     {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, false},
		"another's traces": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, false},
	} {
		if got := wanted(func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	_, err := newExporter(context.Background(), func(string) string { return "http/json" })
	if err == nil {
		t.Error("a protocol that is not spoken here was taken")
	}
}

// steps is what the path of a request does with this package.
func steps(ctx context.Context) {
	ctx, request := Request(ctx, Caller{}, "svc.Endpoint")
	inner, step := Start(ctx, Client, "call")
	if Traceparent(inner) == "" {
		step.Set("name", "value")
	}
	step.End(nil)
	_, worker := Continue(ctx, "", Consumer, "process")
	worker.End(nil)
	request.End(nil)
}

func TestOffCostsNothing(t *testing.T) {
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() { steps(ctx) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOff(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		steps(context.Background())
	}
}

func BenchmarkOnWithNobodyWhoLooks(b *testing.B) {
	start(sdk.NewTracerProvider(sdk.WithSampler(sdk.ParentBased(sdk.NeverSample()))))
	b.Cleanup(func() { tracer.Store(nil) })
	b.ReportAllocs()
	for b.Loop() {
		steps(context.Background())
	}
}
