// Command devstack starts the app's dependencies, and the app or a test run against them.
// Package devstack is its manual.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"encore.app/infra/devstack"
)

const usage = `usage: devstack run   [--real] [--seed] -- COMMAND…
       devstack up    [--real] [--secrets NAME,NAME…]
       devstack exec  [--real] [--durable] [--require PART,PART…] -- COMMAND…
       devstack tool NAME     the path of a program of the stack's: cerbos
       devstack reset
       devstack seed          DATABASE_URL, OIDC_ISSUER_URL: the demo tenants
       devstack seed --tenants N    DATABASE_URL: N tenants of a realistic spread
`

func main() {
	// The first signal stops everything in order, a second one at once.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	code, err := command(ctx, os.Args[1:])
	if errors.Is(err, errUsage) {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "devstack:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

var errUsage = errors.New("usage")

func command(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 {
		return 0, errUsage
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.Usage = func() {} // main prints it
	real := flags.Bool("real", false, "")
	durable := flags.Bool("durable", false, "")
	require := flags.String("require", "", "")
	seed := flags.Bool("seed", false, "")
	tenants := flags.Int("tenants", 0, "")
	secrets := flags.String("secrets", "", "")
	if flags.Parse(args[1:]) != nil {
		return 0, errUsage
	}
	dir, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	root, err := devstack.FindRoot(dir)
	if err != nil {
		return 0, err
	}
	config := devstack.Config{
		Root: root, Env: devstack.ParseEnv(os.Environ()), Out: os.Stderr, Report: os.Stdout,
		Real: *real, Durable: *durable, Require: names(*require), Seed: *seed,
	}
	switch rest := flags.Args(); {
	case args[0] == "run" && len(rest) > 0:
		return devstack.Run(ctx, config, rest)
	case args[0] == "exec" && len(rest) > 0:
		return devstack.Exec(ctx, config, rest)
	case args[0] == "up" && len(rest) == 0:
		return 0, devstack.Up(ctx, config, names(*secrets))
	case args[0] == "seed" && len(rest) == 0 && *tenants != 0:
		return 0, devstack.SeedTenants(ctx, config, *tenants)
	case args[0] == "seed" && len(rest) == 0:
		return 0, devstack.Seed(ctx, config)
	case args[0] == "tool" && len(rest) == 1:
		path, err := devstack.Tool(ctx, config, rest[0])
		if err == nil {
			fmt.Println(path)
		}
		return 0, err
	case args[0] == "reset" && len(rest) == 0:
		return 0, devstack.Reset(root)
	}
	return 0, errUsage
}

func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
