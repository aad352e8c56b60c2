package pdp

import (
	"context"
	"net"
	"strings"
	"testing"

	"encore.app/infra/platform/tracing"
	"encore.app/infra/platform/tracing/tracetest"
	requestv1 "github.com/cerbos/cerbos/api/genpb/cerbos/request/v1"
	responsev1 "github.com/cerbos/cerbos/api/genpb/cerbos/response/v1"
	svcv1 "github.com/cerbos/cerbos/api/genpb/cerbos/svc/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// listening is a decision point that says what it heard.
type listening struct {
	svcv1.UnimplementedCerbosServiceServer
	heard chan string
}

func (l *listening) ServerInfo(ctx context.Context, _ *requestv1.ServerInfoRequest) (*responsev1.ServerInfoResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	l.heard <- strings.Join(md.Get("traceparent"), ",")
	return &responsev1.ServerInfoResponse{Version: "0"}, nil
}

// Only here is tracing on in this package: it stays on for the tests after it, and none of them traces.
func TestTheDecisionPointIsToldOfTheTrace(t *testing.T) {
	collector := tracetest.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	if err := tracing.Setup(); err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fake := &listening{heard: make(chan string, 1)}
	server := grpc.NewServer()
	svcv1.RegisterCerbosServiceServer(server, fake)
	go server.Serve(lis)
	t.Cleanup(server.Stop)
	client, err := New(Config{Addr: lis.Addr().String(), Deadline: DefaultDeadline * 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })

	if _, err := client.Version(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := <-fake.heard; got != "" {
		t.Errorf("told %q where nothing is traced", got)
	}
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	ctx, request := tracing.Request(context.Background(), tracing.Caller{TraceID: id}, "request")
	if _, err := client.Version(ctx); err != nil {
		t.Fatal(err)
	}
	request.End(nil)
	spans := collector.Await(t, id, func(s []tracetest.Span) bool { return len(s) == 2 })
	call, _ := tracetest.Find(spans, "cerbos ServerInfo")
	if got, want := <-fake.heard, "00-"+id+"-"+call.ID+"-01"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}
