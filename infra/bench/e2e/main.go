// Command e2e measures what an authorised read costs beside the bare read: the same row from the same
// Postgres, once through the app (token, membership, decision, read, with limits and log line) and once
// through a net/http handler that asks pgx and nobody else. Both get the same open loop of requests at
// fixed rates, in turns, in one run; latencies count from when a request was due.
//
// It wants APP_BINARY, DATABASE_URL and OIDC_ISSUER_URL; make bench-e2e sets them.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"encore.app/infra/devstack/seed"
)

var (
	bare   = flag.String("bare", "", "serve the bare handler at this address (what the command starts itself with)")
	rounds = flag.Int("rounds", 3, "rounds; each measures both servers at every rate")
	period = flag.Duration("period", 5*time.Second, "how long a rate is held")
)

// rates are requests a second.
var rates = []int{250, 500, 1000}

// The wanted figures: processor time against the bare handler, and the slowest answers at the top rate.
const (
	wantCPU = 2.0
	wantP99 = 5 * time.Millisecond
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := error(nil)
	if *bare != "" {
		err = serveBare(ctx, *bare, os.Getenv("DATABASE_URL"))
	} else {
		err = run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-e2e:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	app, own, err := servers(ctx)
	if err != nil {
		return err
	}
	defer app.stop()
	defer own.stop()
	results := map[string][]result{}
	for round := range *rounds {
		for _, rate := range rates {
			pair := []*server{own, app}
			if round%2 == 1 {
				slices.Reverse(pair)
			}
			for _, s := range pair {
				r, err := s.measure(ctx, rate, *period)
				if err != nil {
					return fmt.Errorf("%s at %d/s: %w", s.name, rate, err)
				}
				key := fmt.Sprintf("%s %d", s.name, rate)
				results[key] = append(results[key], r)
			}
		}
	}
	return report(results)
}

// servers starts both and warms them.
func servers(ctx context.Context) (app, own *server, err error) {
	database, issuer := os.Getenv("DATABASE_URL"), os.Getenv("OIDC_ISSUER_URL")
	if os.Getenv("APP_BINARY") == "" || database == "" || issuer == "" {
		return nil, nil, errors.New("APP_BINARY, DATABASE_URL and OIDC_ISSUER_URL must be set")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	app, err = start(ctx, "app", "127.0.0.1:"+port, "/healthz", []string{os.Getenv("APP_BINARY"), "--role", "web"},
		"PORT="+port, "APP_ENV=test", "LOG_FORMAT=json",
		"RATE_LIMITS=free=1000000000,pro=1000000000,enterprise=1000000000,caller=1000000000,address=1000000000")
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			app.stop()
		}
	}()
	err = seed.Run(ctx, seed.Config{DatabaseURL: database, Issuer: issuer, DemoRealm: filepath.FromSlash("infra/keycloak/demo.json")})
	if err != nil {
		return nil, nil, err
	}
	if err := app.prepare(issuer); err != nil {
		return nil, nil, err
	}
	if port, err = freePort(); err != nil {
		return nil, nil, err
	}
	address := "127.0.0.1:" + port
	own, err = start(ctx, "bare", address, "/healthz", []string{self, "-bare", address})
	if err != nil {
		return nil, nil, err
	}
	own.path = app.path
	for _, s := range []*server{app, own} {
		if _, err := s.measure(ctx, rates[0], time.Second); err != nil {
			own.stop()
			return nil, nil, fmt.Errorf("warm up %s: %w", s.name, err)
		}
	}
	return app, own, nil
}

// report prints the medians of the rounds, and is an error if a figure is not the wanted one.
func report(results map[string][]result) error {
	fmt.Printf("%-6s %6s  %9s %9s  %14s\n", "", "rate/s", "p50", "p99", "CPU-s/1000 req")
	missed := []error{}
	for _, rate := range rates {
		a, b := middle(results[fmt.Sprintf("app %d", rate)]), middle(results[fmt.Sprintf("bare %d", rate)])
		for name, r := range map[string]result{"app": a, "bare": b} {
			fmt.Printf("%-6s %6d  %9s %9s  %14.3f\n", name, rate, r.p50.Round(10*time.Microsecond), r.p99.Round(10*time.Microsecond), r.cpu)
		}
		fmt.Printf("%-6s %6d  %8.2fx %8.2fx  %13.2fx\n", "ratio", rate,
			float64(a.p50)/float64(b.p50), float64(a.p99)/float64(b.p99), a.cpu/b.cpu)
		if a.cpu/b.cpu > wantCPU {
			missed = append(missed, fmt.Errorf("at %d/s the app uses %.2f times the processor, wanted %.1f", rate, a.cpu/b.cpu, wantCPU))
		}
		if a.p99 > wantP99 {
			missed = append(missed, fmt.Errorf("at %d/s p99 is %s, wanted %s", rate, a.p99, wantP99))
		}
	}
	return errors.Join(missed...)
}

// middle is the median of each figure.
func middle(rs []result) result {
	pick := func(of func(result) float64) float64 {
		values := []float64{}
		for _, r := range rs {
			values = append(values, of(r))
		}
		slices.SortFunc(values, cmp.Compare)
		return values[len(values)/2]
	}
	return result{
		p50: time.Duration(pick(func(r result) float64 { return float64(r.p50) })),
		p99: time.Duration(pick(func(r result) float64 { return float64(r.p99) })),
		cpu: pick(func(r result) float64 { return r.cpu }),
	}
}
