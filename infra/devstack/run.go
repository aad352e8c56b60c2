package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"encore.app/infra/devstack/seed"
	"encore.app/infra/devstack/seed/scale"
	"github.com/jackc/pgx/v5"
)

const (
	defaultPort = "4000"
	readyzEvery = 100 * time.Millisecond
	readyzWait  = 2 * time.Second
	readyzHint  = 30 * time.Second // a word about what the app waits for
)

// Run starts the stack, runs the app against it, and prints where everything is once the app is
// ready. It returns the app's exit code when the app ends, or when ctx does and the app with it.
func Run(ctx context.Context, config Config, command []string) (int, error) {
	port := config.Env.or("PORT", defaultPort)
	config.Env = config.Env.With(Env{"PORT": port, "APP_ENV": config.Env.or("APP_ENV", "dev")})
	data, err := openDataDir(filepath.Join(config.Root, devName))
	if err != nil {
		return 0, err
	}
	defer data.close()
	if err := checkFree("127.0.0.1:"+port, "PORT"); err != nil {
		return 0, err
	}
	s, err := start(ctx, config, data)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	app, err := launch("app", command, s.environ(nil), data.pid("app"))
	if err != nil {
		return 0, err
	}
	base := "http://127.0.0.1:" + port
	readyCtx, cancel := context.WithCancel(ctx)
	ready := make(chan bool, 1)
	go func() { ready <- s.awaitReadyz(readyCtx, base+"/readyz") }()
	select {
	case ok := <-ready:
		if ok {
			// A ready app has migrated; only then is there anything to seed.
			if err := s.seed(readyCtx); err != nil {
				cancel()
				app.Stop()
				return 0, err
			}
			s.banner(base)
		}
		select {
		case <-app.Done():
		case <-ctx.Done():
		}
		cancel()
	case <-app.Done():
		cancel()
		<-ready
	}
	app.Stop()
	return app.ExitCode(), nil
}

// seed puts the demo tenants in where it was asked for.
func (s *stack) seed(ctx context.Context) error {
	if !s.config.Seed {
		return nil
	}
	config := s.config
	config.Env = config.Env.With(s.values)
	return Seed(ctx, config)
}

// Seed puts the demo tenants into DATABASE_URL, for the people that OIDC_ISSUER_URL signs in.
func Seed(ctx context.Context, config Config) error {
	for _, name := range []string{"DATABASE_URL", "OIDC_ISSUER_URL"} {
		if config.Env[name] == "" {
			return fmt.Errorf("seed: %s is not set", name)
		}
	}
	return seed.Run(ctx, seed.Config{
		DatabaseURL: config.Env["DATABASE_URL"],
		Issuer:      config.Env["OIDC_ISSUER_URL"],
		DemoRealm:   filepath.Join(config.Root, "infra/keycloak/demo.json"),
	})
}

// SeedTenants puts many tenants into DATABASE_URL, beside whatever is there.
func SeedTenants(ctx context.Context, config Config, tenants int) error {
	url := config.Env["DATABASE_URL"]
	if url == "" {
		return errors.New("seed: DATABASE_URL is not set (make run prints the one of its own cluster)")
	}
	done, err := scale.Run(ctx, scale.Config{
		Connect: func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, url) },
		Tenants: tenants, Out: config.Out,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(config.Out, "\r%d tenants with %d resources put in: %d rows in %.1f s, %.0f a second\n",
		done.Tenants, done.Resources, done.Rows, done.Took.Seconds(), done.PerSecond())
	return nil
}

// awaitReadyz polls until the app says that it is ready, or ctx ends.
func (s *stack) awaitReadyz(ctx context.Context, url string) bool {
	client := &http.Client{Timeout: readyzWait}
	defer client.CloseIdleConnections()
	hint := time.Now().Add(readyzHint)
	for {
		status, body, err := get(ctx, client, url)
		if err == nil && status == http.StatusOK {
			return true
		}
		if time.Now().After(hint) {
			hint = time.Now().Add(readyzHint)
			if err != nil {
				body = err.Error()
			}
			s.logf("still waiting for %s: %s", url, strings.TrimSpace(body))
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(readyzEvery):
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	return resp.StatusCode, string(text), err
}

// banner tells a newcomer where everything is.
func (s *stack) banner(base string) {
	issuer := s.config.Env.or("OIDC_ISSUER_URL", s.values["OIDC_ISSUER_URL"])
	out := s.config.Report
	fmt.Fprintf(out, "\n  Tenantry is ready.\n\n")
	fmt.Fprintf(out, "  API       %s/api/v1\n", base)
	fmt.Fprintf(out, "  health    %s/readyz\n", base)
	fmt.Fprintf(out, "  metrics   %s/metrics\n", base)
	if issuer != "" {
		fmt.Fprintf(out, "  issuer    %s\n", issuer)
	}
	fmt.Fprintf(out, "  database  %s\n", s.config.Env.or("DATABASE_URL", s.values["DATABASE_URL"]))
	fmt.Fprintf(out, "  logs      %s\n", s.data.join("logs"))
	if len(s.users) > 0 {
		fmt.Fprintf(out, "\n  Demo users (password demo)\n")
		for _, u := range s.users {
			fmt.Fprintf(out, "    %s\n", u)
		}
		fmt.Fprintf(out, "\n  Try it:\n"+tryIt+"\n", issuer, base)
		if s.values["STRIPE_API_BASE"] != "" {
			fmt.Fprintf(out, buyIt, issuer, base, base)
		}
	}
	fmt.Fprintln(out)
}

// tryIt needs no more than curl and sed.
const tryIt = `    TOKEN=$(curl -s %s/protocol/openid-connect/token \
        -d grant_type=password -d client_id=app -d username=ada@acme.test -d password=demo \
        | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
    curl -s -H "Authorization: Bearer $TOKEN" %s/api/v1/me
`
