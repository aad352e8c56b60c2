// Package tracing follows a request through the app: HTTP, SQL, decision point, outbox, broker, worker.
//
// It is off, and costs nothing, unless the standard variables name a collector:
// OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT. The others of OpenTelemetry count
// as well: OTEL_EXPORTER_OTLP_PROTOCOL (http/protobuf or grpc), OTEL_EXPORTER_OTLP_HEADERS,
// OTEL_TRACES_SAMPLER and its argument, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_SDK_DISABLED.
// Without a sampler of theirs a request is traced if its caller traces it, or if it has none.
//
// Traces begin with a request ([Request]). What is done without one, such as a poll, begins none, and
// every step of it is the zero [Span]. Between processes a trace travels as W3C traceparent.
//
// Spans tell names, statements with their placeholders, ids and kinds of errors; never a value, a header
// or the text of an error.
package tracing

import (
	"context"
	"fmt"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// tracer is nil while tracing is off.
var tracer atomic.Pointer[traces]

type traces struct {
	trace.Tracer
	flush func(context.Context) error
}

// Kind is a step's part in what it belongs to.
type Kind = trace.SpanKind

// The kinds. A step within the process is Internal.
const (
	Internal = trace.SpanKindInternal
	Client   = trace.SpanKindClient
	Producer = trace.SpanKindProducer
	Consumer = trace.SpanKindConsumer
)

// Span is one step. The zero Span is none: everything done with it does nothing.
type Span struct{ span trace.Span }

// Caller is what a request says about the trace that it belongs to.
type Caller struct {
	Traceparent, Tracestate string
	// TraceID names the trace of a caller who has none, so that log lines and traces agree; anything but
	// 32 hexadecimal digits is not used.
	TraceID string
}

// On says whether anything is traced at all.
func On() bool { return tracer.Load() != nil }

// Request begins the step of serving a request.
func Request(ctx context.Context, from Caller, name string) (context.Context, Span) {
	t := tracer.Load()
	if t == nil {
		return ctx, Span{}
	}
	if !trace.SpanContextFromContext(ctx).IsValid() { // not from within
		ctx = remote(ctx, from.Traceparent, from.Tracestate)
		if id, err := trace.TraceIDFromHex(from.TraceID); err == nil {
			ctx = context.WithValue(ctx, traceIDKey{}, id)
		}
	}
	return t.start(ctx, trace.SpanKindServer, name)
}

// Start begins a step of the one that ctx is in.
func Start(ctx context.Context, kind Kind, name string) (context.Context, Span) {
	t := tracer.Load()
	if t == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, Span{}
	}
	return t.start(ctx, kind, name)
}

// Continue begins a step of the one that traceparent names.
func Continue(ctx context.Context, traceparent string, kind Kind, name string) (context.Context, Span) {
	t := tracer.Load()
	if t == nil || traceparent == "" {
		return ctx, Span{}
	}
	ctx = remote(ctx, traceparent, "")
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, Span{}
	}
	return t.start(ctx, kind, name)
}

func (t *traces) start(ctx context.Context, kind Kind, name string) (context.Context, Span) {
	ctx, span := t.Start(ctx, name, trace.WithSpanKind(kind))
	return ctx, Span{span}
}

var w3c propagation.TraceContext

func remote(ctx context.Context, traceparent, tracestate string) context.Context {
	return w3c.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent, "tracestate": tracestate})
}

// Traceparent is the header for whoever carries on what ctx is in; "" where nothing is traced.
func Traceparent(ctx context.Context) string {
	if tracer.Load() == nil {
		return ""
	}
	to := propagation.MapCarrier{}
	w3c.Inject(ctx, to)
	return to["traceparent"]
}

// On says whether anybody will see the step, so that what is told of it is worth working out.
func (s Span) On() bool { return s.span != nil && s.span.IsRecording() }

// Name is the step's, where that is only now worked out.
func (s Span) Name(name string) {
	if s.On() {
		s.span.SetName(name)
	}
}

// Set says something about the step.
func (s Span) Set(name, value string) {
	if s.On() && value != "" {
		s.span.SetAttributes(attribute.String(name, value))
	}
}

// SetInt says a number about the step.
func (s Span) SetInt(name string, value int) {
	if s.On() {
		s.span.SetAttributes(attribute.Int(name, value))
	}
}

// Under is ctx in this step.
func (s Span) Under(ctx context.Context) context.Context {
	if s.span == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, s.span)
}

// Fail marks the step as failed, by the kind of its error alone.
func (s Span) Fail(kind string) {
	if s.On() {
		s.span.SetStatus(codes.Error, "")
		s.span.SetAttributes(attribute.String("error.type", kind))
	}
}

// End ends the step; an error marks it as failed.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil {
		s.Fail(fmt.Sprintf("%T", err))
	}
	s.span.End()
}
