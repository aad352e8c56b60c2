package cerbos

import (
	"context"
	"net"
	"os"
	"strconv"
	"time"

	"encore.app/infra/devstack/proc"

	requestv1 "github.com/cerbos/cerbos/api/genpb/cerbos/request/v1"
	svcv1 "github.com/cerbos/cerbos/api/genpb/cerbos/svc/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const readyWait = 30 * time.Second

// Config says what a server serves and where.
type Config struct {
	Program    string // from Fetch
	ConfigFile string // made from Settings
	Settings   []byte // YAML
	Policies   string // directory; watched for changes
	GRPCPort   int
	HTTPPort   int
	LogFile    string
	PIDFile    string
	Logf       func(format string, args ...any)
}

// Server is a running decision point.
type Server struct {
	*proc.Service
	addr string
	http string
}

// Start runs the server and returns once it answers. Policies that do not compile are an error
// with what the server said about them.
func Start(ctx context.Context, config Config) (*Server, error) {
	if err := os.WriteFile(config.ConfigFile, config.Settings, 0o644); err != nil {
		return nil, err
	}
	addr := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	s := &Server{addr: addr(config.GRPCPort), http: addr(config.HTTPPort)}
	var err error
	s.Service, err = proc.Start(ctx, proc.Spec{
		Command: proc.Command{
			Name: "cerbos",
			Args: []string{
				config.Program, "server", "--config=" + config.ConfigFile, "--log-level=warn", "--debug-listen-addr=",
				"--set=server.grpcListenAddr=" + s.addr,
				"--set=server.httpListenAddr=" + s.http,
				"--set=storage.disk.directory=" + config.Policies,
			},
			Env:     []string{"PATH=/usr/bin:/bin", "CERBOS_NO_TELEMETRY=1"},
			PIDFile: config.PIDFile,
		},
		LogFile: config.LogFile, Logf: config.Logf,
		Ready: func(ctx context.Context) error {
			_, err := Version(ctx, s.addr)
			return err
		},
		ReadyWait: readyWait,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Addr is the gRPC address, as host:port.
func (s *Server) Addr() string { return s.addr }

// MetricsURL is where the server tells how it is, for Prometheus.
func (s *Server) MetricsURL() string { return "http://" + s.http + "/_cerbos/metrics" }

// Version asks the decision point at a gRPC address (host:port or unix:path) for its version.
func Version(ctx context.Context, addr string) (string, error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	info, err := svcv1.NewCerbosServiceClient(conn).ServerInfo(ctx, &requestv1.ServerInfoRequest{})
	if err != nil {
		return "", err
	}
	return info.GetVersion(), nil
}
