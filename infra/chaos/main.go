// Command chaos proves that nothing is lost and nothing happens twice: it puts load on the app while
// the app's processes, RabbitMQ, Redis and Postgres are killed at random and start again, and then
// counts.
//
//	devstack exec -- go run ./infra/chaos -app BINARY [-for 10m] [-rate 40]
//
// Rate limits are on, and every change has an Idempotency-Key under which it is tried until it is
// answered. The policy decision point and the issuer come from devstack and stay up: what is tested is
// what the app does with work, not with questions. It ends with 1 if something was lost, doubled or
// left.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// settleWithin is how long everything may take, once nobody is killed any more, until all is done: the
// parts' own restarts, leases that have to run out, and deliveries that wait for their next attempt.
const settleWithin = 4 * time.Minute

func main() {
	app := flag.String("app", "", "the app's `binary`")
	length := flag.Duration("for", 10*time.Minute, "how long to kill")
	rate := flag.Int("rate", 40, "changes a second to attempt")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, *app, *length, *rate)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string, length time.Duration, rate int) (ok bool, err error) {
	if binary == "" {
		return false, errors.New("-app names no binary")
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "tenantry-chaos-")
	if err != nil {
		return false, err
	}
	s, err := startStack(ctx, dir, binary)
	if err != nil {
		return false, fmt.Errorf("%w (logs: %s)", err, dir)
	}
	defer s.stop()
	receivers, err := addSinks(ctx, s)
	if err != nil {
		return false, fmt.Errorf("%w (logs: %s)", err, dir)
	}
	defer receivers.close()

	fmt.Printf("killing for %s, %d changes a second\n", length, rate)
	load := startLoad(s, rate)
	kills, err := s.killFor(ctx, length, load.keep)
	load.stop()
	if err != nil {
		return false, err
	}
	fmt.Println("nobody is killed any more; waiting until all is done")
	found, err := settle(ctx, s, load, receivers)
	if err != nil {
		return false, fmt.Errorf("%w (logs: %s)", err, dir)
	}
	report(os.Stdout, length, kills, load, found)
	if !found.ok() {
		fmt.Println("logs:", dir)
		return false, nil
	}
	return true, os.RemoveAll(dir)
}
