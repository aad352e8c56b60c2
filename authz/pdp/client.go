package pdp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"encore.app/infra/platform/tracing"
	svcv1 "github.com/cerbos/cerbos/api/genpb/cerbos/svc/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// DefaultDeadline bounds one call, retry included. A healthy decision point
// beside the application answers in about a millisecond.
const DefaultDeadline = 250 * time.Millisecond

// reconnectWithin caps the pause between attempts to reach a lost decision
// point. gRPC's own cap is two minutes, for which every request would fail.
const reconnectWithin = time.Second

// Config is what a Client needs.
type Config struct {
	// Addr is host:port or unix:/path.
	Addr string
	// Deadline bounds one call; DefaultDeadline when zero.
	Deadline time.Duration
	// TLS is nil for a decision point on the same host or socket.
	TLS *tls.Config
	// PolicyDigest names the policies decided by; it may be nil.
	PolicyDigest func() string
}

// Client is a connection to the decision point. It is safe for concurrent use.
type Client struct {
	conn     *grpc.ClientConn
	stub     svcv1.CerbosServiceClient
	deadline time.Duration
	digest   func() string
}

var _ Decider = (*Client)(nil)

// New prepares a client without connecting: Ready says whether anything answers.
// The connection is made here and not by the Cerbos SDK because that one can
// neither be closed nor told how long to wait between attempts.
func New(cfg Config) (*Client, error) {
	if cfg.Addr == "" {
		return nil, errors.New("pdp: no address")
	}
	if cfg.Deadline <= 0 {
		cfg.Deadline = DefaultDeadline
	}
	if cfg.PolicyDigest == nil {
		cfg.PolicyDigest = func() string { return "" }
	}
	creds := insecure.NewCredentials()
	if cfg.TLS != nil {
		creds = credentials.NewTLS(cfg.TLS)
	}
	pauses := backoff.DefaultConfig
	pauses.BaseDelay, pauses.MaxDelay = 50*time.Millisecond, reconnectWithin
	conn, err := grpc.NewClient(cfg.Addr,
		grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: pauses, MinConnectTimeout: reconnectWithin}),
		grpc.WithDisableServiceConfig(), // no DNS lookups for one
		// Several decision points behind one name share the questions.
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
	)
	if err != nil {
		return nil, fmt.Errorf("pdp: address %q: %w", cfg.Addr, err)
	}
	return &Client{conn: conn, stub: svcv1.NewCerbosServiceClient(conn), deadline: cfg.Deadline, digest: cfg.PolicyDigest}, nil
}

// Close ends the connection; calls under way fail.
func (c *Client) Close() error { return c.conn.Close() }

// call runs one request under the deadline and tries once more where the
// connection was lost, which is safe because decisions have no effect.
func call[Req, Res any](ctx context.Context, c *Client, name string, do func(context.Context, Req, ...grpc.CallOption) (Res, error), req Req) (Res, error) {
	start := time.Now()
	bounded, cancel := context.WithTimeout(ctx, c.deadline)
	defer cancel()
	bounded, span := tracing.Start(bounded, tracing.Client, "cerbos "+name)
	if trace := tracing.Traceparent(bounded); trace != "" {
		bounded = metadata.AppendToOutgoingContext(bounded, "traceparent", trace)
	}
	res, err := do(bounded, req)
	if status.Code(err) == codes.Unavailable && bounded.Err() == nil {
		res, err = do(bounded, req)
	}
	span.End(err)
	calls.WithLabelValues(name, status.Code(err).String()).Observe(time.Since(start).Seconds())
	if err == nil {
		return res, nil
	}
	switch {
	case ctx.Err() != nil: // the caller gave up; nothing is known about the decision point
		return res, fmt.Errorf("pdp: %w", ctx.Err())
	case status.Code(err) == codes.InvalidArgument:
		return res, fmt.Errorf("%w: %w", ErrInvalid, err)
	default:
		return res, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}
