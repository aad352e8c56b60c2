// Command bench measures what the host costs: an authenticated read that answers 1 KiB of JSON
// without SQL, as an Encore service against a bare net/http handler that verifies the same token
// with the same cache and encodes the same struct.
//
// Both run at once as processes of their own; load goes to one and then the other, in rounds that
// take turns in who is first, so that whatever else the machine does hits both. It fails if the host keeps less than 0.7 of the
// bare throughput, has more than twice its p99, or holds 100 MiB or more. The load generator
// shares the machine and costs the same for both, which flatters the ratio of throughputs; the
// ratio of processor time per request leaves it out.
//
// With APP_BASE_URL, APP_PID and APP_TOKEN set, it also asks that app for GET /api/v1/me for ten
// seconds and tells its memory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// What must hold.
const (
	leastThroughput = 0.7
	mostP99         = 2.0
	mostMemory      = 100.0 // MiB
)

// limit is how long everything after the builds may take.
const limit = 90 * time.Second

const warmUp = 2 * time.Second

// options say how to measure.
type options struct {
	load
	rounds  int
	profile string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 6, "`number` of times that each server is measured")
	flag.DurationVar(&o.time, "time", 5*time.Second, "`length` of one measurement, in whole seconds")
	flag.IntVar(&o.connections, "connections", 32, "`number` of connections")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the hosted app to `file`")
	flag.Parse()
	// A reader of the output that goes away must not leave the servers behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "bench-host-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	hostedBin, bareBin, err := buildServers(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	iss, err := newIssuer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, iss.close()) }()
	token, err := iss.token()
	if err != nil {
		return err
	}
	env := []string{"BENCH_ISSUER=" + iss.url, "APP_ENV=dev"}
	bare, err := start(ctx, "bare", bareBin, token, env...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.stop()) }()
	if o.profile != "" {
		name, err := filepath.Abs(o.profile)
		if err != nil {
			return err
		}
		env = append(env, "BENCH_PROFILE="+name)
	}
	hosted, err := start(ctx, "host", hostedBin, token, env...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hosted.stop()) }()

	if err := compare(ctx, hosted, bare, token); err != nil {
		return err
	}
	method(o)
	rounds, err := measure(ctx, o, hosted, bare, token)
	if err != nil {
		return err
	}
	verdict := report(rounds, hosted, bare)
	return errors.Join(verdict, measureApp(ctx, load{o.connections, 10 * time.Second}, os.Getenv))
}

// compare makes sure that both do the same before anything is measured.
func compare(ctx context.Context, hosted, bare *process, token string) error {
	var answers [2]answer
	for i, p := range []*process{hosted, bare} {
		refused, err := get(ctx, p.url(), token+"x")
		if err != nil {
			return err
		}
		if refused.status != http.StatusUnauthorized {
			return fmt.Errorf("%s answers %d to a bad token", p.name, refused.status)
		}
		if answers[i], err = get(ctx, p.url(), token); err != nil {
			return err
		}
	}
	if answers[0] != answers[1] {
		return fmt.Errorf("the answers differ:\n%v\n%v", answers[0], answers[1])
	}
	if n := len(answers[0].body); n != 1024 {
		return fmt.Errorf("the answer has %d bytes, not 1024", n)
	}
	return nil
}

// round is one measurement of each server.
type round struct{ hosted, bare sample }

// sample is what a server gave and took.
type sample struct {
	result
	cpu time.Duration
}

// cpuPerThousand is the processor time of a thousand requests.
func (s sample) cpuPerThousand() time.Duration { return s.cpu * 1000 / time.Duration(s.requests) }

func measure(ctx context.Context, o options, hosted, bare *process, token string) ([]round, error) {
	_, generate := generator()
	one := func(l load, p *process) (s sample, err error) {
		before, err := cpu(p.cmd.Process.Pid)
		if err != nil {
			return s, err
		}
		if s.result, err = generate(ctx, l, p.url(), token); err != nil {
			return s, fmt.Errorf("%s: %w", p.name, errors.Join(err, context.Cause(ctx)))
		}
		after, err := cpu(p.cmd.Process.Pid)
		s.cpu = after - before
		return s, err
	}
	for _, p := range []*process{hosted, bare} {
		if _, err := one(load{o.connections, warmUp}, p); err != nil {
			return nil, err
		}
	}
	rounds := make([]round, o.rounds)
	for i := range rounds {
		r := &rounds[i]
		order := []struct {
			from *process
			to   *sample
		}{{hosted, &r.hosted}, {bare, &r.bare}}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, next := range order {
			var err error
			if *next.to, err = one(o.load, next.from); err != nil {
				return nil, err
			}
		}
		r.print(i + 1)
	}
	return rounds, nil
}
