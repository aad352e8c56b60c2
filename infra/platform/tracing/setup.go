package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"encore.dev/rlog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Setup turns tracing on if the environment wants it. Services call it as they start; one of them does.
var Setup = sync.OnceValue(setup)

func setup() error {
	if !wanted(os.Getenv) {
		return nil
	}
	ctx := context.Background()
	exporter, err := newExporter(ctx, os.Getenv)
	if err != nil {
		return err
	}
	about, err := resource.New(ctx, // the environment's words count most
		resource.WithAttributes(attribute.String("service.name", "tenantry")), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return fmt.Errorf("tracing: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(&complaints{})
	start(sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about), sdk.WithIDGenerator(ids{})))
	return nil
}

func start(p *sdk.TracerProvider) {
	tracer.Store(&traces{Tracer: p.Tracer("encore.app"), flush: p.ForceFlush})
}

// wanted says whether the environment names a collector.
func wanted(getenv func(string) string) bool {
	return getenv("OTEL_SDK_DISABLED") != "true" && getenv("OTEL_TRACES_EXPORTER") != "none" &&
		cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), getenv("OTEL_EXPORTER_OTLP_ENDPOINT")) != ""
}

// newExporter reads the rest of its variables itself. It connects when there is something to send.
func newExporter(ctx context.Context, getenv func(string) string) (*otlptrace.Exporter, error) {
	const preset = "http/protobuf"
	switch p := cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), preset); p {
	case preset:
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("tracing: OTEL_EXPORTER_OTLP_PROTOCOL is %q; it must be http/protobuf or grpc", p)
	}
}

// flushWithin is how long a shutdown waits at most for what was not sent.
const flushWithin = 2 * time.Second

// Flush sends what has not been sent, and waits for it no longer than ctx or two seconds. What runs on
// is traced still.
func Flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushWithin)
	defer cancel()
	if t := tracer.Load(); t != nil {
		if err := t.flush(ctx); err != nil && !errors.Is(err, context.Canceled) {
			rlog.Warn("some traces were not sent", "err", err)
		}
	}
}

// complaints logs what goes wrong behind the app's back, at most once a minute.
type complaints struct {
	mu   sync.Mutex
	last time.Time
}

// Handle is that of otel.ErrorHandler.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.last) >= time.Minute {
		c.last = now
		rlog.Warn("traces are not sent", "err", err)
	}
}

type traceIDKey struct{}

// ids makes ids. They need to be unlikely to meet again, not secret.
type ids struct{}

// NewIDs gives a trace the id that its request has in the log, if that is one.
func (ids) NewIDs(ctx context.Context) (t trace.TraceID, s trace.SpanID) {
	t, ok := ctx.Value(traceIDKey{}).(trace.TraceID)
	if !ok {
		fill(t[:])
	}
	fill(s[:])
	return t, s
}

// NewSpanID makes the id of a further step.
func (ids) NewSpanID(context.Context, trace.TraceID) (s trace.SpanID) {
	fill(s[:])
	return s
}

// fill makes no id of zeros alone, which would be none.
func fill(id []byte) {
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	id[0] |= 1
}
