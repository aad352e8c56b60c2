package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"encore.app/audit/ledger"
	"encore.app/infra/devstack/postgres"
	"encore.app/infra/devstack/rabbitmq"
	"encore.app/infra/devstack/redis"
	"encore.app/infra/devstack/seed"
)

// stack is every part that may be killed, and the app over them.
type stack struct {
	dir     string
	base    string // of the app's web process
	issuer  string
	super   string // the app's database, with all rights
	signing string // the key of the audit log
	parts   []part
	ends    []func()
}

// part is something that is killed and starts again by itself.
type part struct {
	name string
	pid  func() int // 0 while it is not running
}

// startStack starts the parts that keep state, then the app twice: one process serves, one works.
func startStack(ctx context.Context, dir, binary string) (s *stack, err error) {
	s = &stack{dir: dir, issuer: os.Getenv("OIDC_ISSUER_URL")}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if s.issuer == "" || os.Getenv("CERBOS_ADDR") == "" {
		return s, errors.New("run it under devstack exec, which has the issuer and the policies")
	}
	env, err := s.startState(ctx)
	if err != nil {
		return s, err
	}
	if s.signing, err = ledger.GenerateKey(); err != nil {
		return s, err
	}
	env = append(env, "APP_ENV=test", "LOG_FORMAT=json", "OBJECT_STORE_URL=file://"+filepath.Join(dir, "objects"),
		"AUDIT_SIGNING_KEY="+s.signing, "SINKS_ALLOW_PRIVATE=true", "SINK_SECRETS_KEY="+strings.Repeat("chaos", 8),
		"RATE_LIMITS=") // the standard ones
	for _, p := range []struct{ name, roles string }{{"web", "web"}, {"worker", "worker,scheduler"}} {
		port, err := freePort()
		if err != nil {
			return s, err
		}
		a, err := startApp(dir, p.name, binary, p.roles, slices.Concat(env, []string{"PORT=" + strconv.Itoa(port)}))
		if err != nil {
			return s, err
		}
		s.ends = append(s.ends, a.stop)
		s.parts = append(s.parts, part{p.name, a.pid})
		base := "http://127.0.0.1:" + strconv.Itoa(port)
		if err := await(ctx, time.Minute, p.name+" is ready", func() bool { return ready(base) }); err != nil {
			return s, err
		}
		if p.name == "web" {
			s.base = base
			err = seed.Run(ctx, seed.Config{DatabaseURL: s.super, Issuer: s.issuer, DemoRealm: "infra/keycloak/demo.json"})
			if err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// startState starts Postgres, Redis and RabbitMQ and gives the environment that names them.
func (s *stack) startState(ctx context.Context) ([]string, error) {
	logf := func(string, ...any) {} // that a part ended is the point here
	bin, err := postgres.FindBin("", filepath.Join(s.dir, "postgres"))
	if err != nil {
		return nil, err
	}
	var ports [5]int
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	file := func(name string) string { return filepath.Join(s.dir, name) }
	if err := os.Chmod(s.dir, 0o755); err != nil { // Postgres runs as a user of its own
		return nil, err
	}
	db, err := postgres.Start(ctx, postgres.Config{
		BinDir: bin, DataDir: file("postgres"), LogFile: file("postgres.log"), PIDFile: file("postgres.pid"), Port: ports[0], Durable: true, Logf: logf,
	})
	if err != nil {
		return nil, err
	}
	s.ends = append(s.ends, db.Stop)
	super, err := url.Parse(db.SuperuserURL())
	if err != nil {
		return nil, err
	}
	super.Path = "/tenantry"
	s.super = super.String()
	keys, err := redis.Start(ctx, redis.Config{Dir: file("redis"), LogFile: file("redis.log"), PIDFile: file("redis.pid"), Port: ports[1], Logf: logf})
	if err != nil {
		return nil, err
	}
	s.ends = append(s.ends, keys.Stop)
	node, err := rabbitmq.Start(ctx, rabbitmq.Config{
		Dir: file("rabbitmq"), LogFile: file("rabbitmq.log"), PIDFile: file("rabbitmq.pid"),
		Ports: rabbitmq.Ports{AMQP: ports[2], Dist: ports[3], EPMD: ports[4]}, Logf: logf,
	})
	if err != nil {
		return nil, err
	}
	s.ends = append(s.ends, node.Stop)
	for _, name := range []string{"postgres", "redis", "rabbitmq"} {
		s.parts = append(s.parts, part{name, func() int { return recorded(file(name + ".pid")) }})
	}
	return append(os.Environ(), "DATABASE_URL="+db.URL(), "REDIS_URL="+keys.URL(), "RABBITMQ_URL="+node.URL()), nil
}

// stop ends everything, the app first.
func (s *stack) stop() {
	for len(s.ends) > 0 {
		last := len(s.ends) - 1
		s.ends[last]()
		s.ends = s.ends[:last]
	}
}

// killFor kills one part after the other for a while and counts. between runs before each.
func (s *stack) killFor(ctx context.Context, length time.Duration, between func()) (map[string]int, error) {
	kills := map[string]int{}
	over := time.After(length)
	for {
		select {
		case <-ctx.Done():
			return kills, ctx.Err()
		case <-over:
			return kills, nil
		case <-time.After(2*time.Second + rand.N(8*time.Second)):
		}
		between()
		p := s.parts[rand.IntN(len(s.parts))]
		pid := p.pid()
		if pid == 0 || syscall.Kill(-pid, syscall.SIGKILL) != nil { // it is dead still
			continue
		}
		kills[p.name]++
	}
}

// recorded is the process id of a pid file; 0 if there is none.
func recorded(path string) int {
	text, err := os.ReadFile(path)
	var file struct{ PID int }
	if err != nil || json.Unmarshal(text, &file) != nil {
		return 0
	}
	return file.PID
}

// freePort is below the range that the kernel uses for outgoing connections: a part that is dead must
// find its port again.
func freePort() (int, error) {
	const first, last, tries = 20000, 32000, 200
	var err error
	for range tries {
		port := first + rand.IntN(last-first)
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

func ready(base string) bool {
	resp, err := quick.Get(base + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// await polls until ok.
func await(ctx context.Context, within time.Duration, what string, ok func() bool) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for over := time.After(within); !ok(); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return fmt.Errorf("not within %s: %s", within, what)
		case <-tick.C:
		}
	}
	return nil
}
