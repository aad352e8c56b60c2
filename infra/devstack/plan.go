package devstack

import (
	"context"
	"errors"
	"path/filepath"

	"encore.app/infra/devstack/cerbos"
	"encore.app/infra/devstack/postgres"
	"encore.app/infra/devstack/rabbitmq"
	"encore.app/infra/devstack/redis"
)

// partNames is the order in which parts are reported.
var partNames = []string{"postgres", "redis", "rabbitmq", "cerbos", "issuer", "stripe", "keycloak", "chromium", "stripe-mock", "promtool"}

// plan is how one part is had.
type plan struct {
	name     string
	variable string
	check    func(ctx context.Context, value string) (version string, err error) // of a part that is set

	absent  string   // why none is started, where start is nil
	debian  []string // packages to install first
	reserve func() error
	start   func(ctx context.Context) (started, error)
}

// started is a part that this stack runs.
type started struct {
	value   string // of its variable
	version string
	how     string
	stop    func()
	up      func() (ok bool, err error) // of a part that starts beside the command, else nil
}

func (s *stack) plan() []plan {
	return []plan{s.planPostgres(), s.planRedis(), s.planRabbitMQ(), s.planCerbos(), s.planIssuer(), s.planStripe(), s.planKeycloak(), s.planChromium(), s.planStripeMock(), s.planPromtool()}
}

func (s *stack) planPostgres() plan {
	p := plan{name: "postgres", variable: "DATABASE_URL", check: postgres.Version}
	if s.config.Env[p.variable] != "" {
		return p
	}
	dataDir := s.data.join("postgres")
	if _, err := postgres.FindBin(s.config.Env["POSTGRES_BIN"], dataDir); errors.Is(err, postgres.ErrNotInstalled) {
		p.debian = []string{"postgresql"}
	}
	var port int
	p.reserve = func() (err error) {
		port, err = s.port("postgres", "POSTGRES_PORT")
		return err
	}
	p.start = func(ctx context.Context) (started, error) {
		bin, err := postgres.FindBin(s.config.Env["POSTGRES_BIN"], dataDir)
		if err != nil {
			return started{}, err
		}
		cluster, err := postgres.Start(ctx, postgres.Config{
			BinDir: bin, DataDir: dataDir, Port: port, Durable: s.config.Durable || !s.config.throwAway,
			LogFile: s.data.log("postgres"), PIDFile: s.data.pid("postgres"), Logf: s.logf,
		})
		if err != nil {
			return started{}, err
		}
		version, err := postgres.Version(ctx, cluster.URL())
		if err != nil {
			cluster.Stop()
			return started{}, err
		}
		s.superuser.host = cluster.Host()
		s.superuser.name, s.superuser.password = cluster.Superuser()
		return started{value: cluster.URL(), version: version, how: "private cluster", stop: cluster.Stop}, nil
	}
	return p
}

func (s *stack) planCerbos() plan {
	p := plan{name: "cerbos", variable: "CERBOS_ADDR", check: cerbos.Version}
	if s.config.Env[p.variable] != "" {
		return p
	}
	if s.config.Env["CERBOS_BIN"] == "" && cerbos.NeedsNPM(s.config.toolsDir()) {
		p.debian = []string{"npm"}
	}
	var grpcPort, httpPort int
	p.reserve = func() (err error) {
		if grpcPort, err = s.port("cerbos", "CERBOS_PORT"); err == nil {
			httpPort, err = s.ports.pick("cerbos-http")
		}
		return err
	}
	p.start = func(ctx context.Context) (started, error) {
		program := s.config.Env["CERBOS_BIN"]
		if program == "" {
			var err error
			if program, err = cerbos.Fetch(ctx, s.config.toolsDir(), s.logf); err != nil {
				return started{}, err
			}
		}
		server, err := cerbos.Start(ctx, cerbos.Config{
			Program: program, ConfigFile: s.data.join("cerbos.yaml"), Settings: cerbosSettings,
			Policies: filepath.Join(s.config.Root, "policies"), GRPCPort: grpcPort, HTTPPort: httpPort,
			LogFile: s.data.log("cerbos"), PIDFile: s.data.pid("cerbos"), Logf: s.logf,
		})
		if err != nil {
			return started{}, err
		}
		version, err := cerbos.Version(ctx, server.Addr())
		if err != nil {
			server.Stop()
			return started{}, err
		}
		s.mu.Lock()
		s.values["CERBOS_METRICS_URL"] = server.MetricsURL()
		s.values["CERBOS_BIN"] = program // make policies and the PDP's own tests run the same program
		s.mu.Unlock()
		return started{value: server.Addr(), version: version, how: "child process", stop: server.Stop}, nil
	}
	return p
}

func (s *stack) planRedis() plan {
	p := plan{name: "redis", variable: "REDIS_URL", check: redis.Version, absent: "in-process in the app; --real starts one"}
	if s.config.Env[p.variable] != "" || !s.config.wantsReal(p.name) {
		return p
	}
	if !redis.Installed() {
		p.debian = []string{"redis-server"}
	}
	var port int
	p.reserve = func() (err error) {
		port, err = s.ports.pick("redis")
		return err
	}
	p.start = func(ctx context.Context) (started, error) {
		server, err := redis.Start(ctx, redis.Config{
			Dir: s.data.join("redis"), Port: port,
			LogFile: s.data.log("redis"), PIDFile: s.data.pid("redis"), Logf: s.logf,
		})
		if err != nil {
			return started{}, err
		}
		version, err := redis.Version(ctx, server.URL())
		if err != nil {
			server.Stop()
			return started{}, err
		}
		return started{value: server.URL(), version: version, how: "private server", stop: server.Stop}, nil
	}
	return p
}

func (s *stack) planRabbitMQ() plan {
	p := plan{name: "rabbitmq", variable: "RABBITMQ_URL", check: rabbitmq.Version, absent: "in-process in the app; --real starts one"}
	if s.config.Env[p.variable] != "" || !s.config.wantsReal(p.name) {
		return p
	}
	if !rabbitmq.Installed() {
		p.debian = []string{"rabbitmq-server"}
	}
	var at rabbitmq.Ports
	p.reserve = func() (err error) {
		if at.AMQP, err = s.ports.pick("rabbitmq"); err == nil {
			if at.Dist, err = s.ports.pick("rabbitmq-dist"); err == nil {
				at.EPMD, err = s.ports.pick("rabbitmq-epmd")
			}
		}
		return err
	}
	p.start = func(ctx context.Context) (started, error) {
		node, err := rabbitmq.Start(ctx, rabbitmq.Config{
			Dir: s.data.join("rabbitmq"), Ports: at,
			LogFile: s.data.log("rabbitmq"), PIDFile: s.data.pid("rabbitmq"), Logf: s.logf,
		})
		if err != nil {
			return started{}, err
		}
		version, err := rabbitmq.Version(ctx, node.URL())
		if err != nil {
			node.Stop()
			return started{}, err
		}
		return started{value: node.URL(), version: version, how: "private node", stop: node.Stop}, nil
	}
	return p
}

// port is the one a variable names, or the remembered one.
func (s *stack) port(name, variable string) (int, error) {
	port, ok, err := s.ports.fixed(s.config.Env, variable)
	if ok || err != nil {
		return port, err
	}
	return s.ports.pick(name)
}
