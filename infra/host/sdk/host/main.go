package host

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"encore.dev/internal/appinfo"
	"encore.dev/internal/applog"
	"encore.dev/internal/db"
	"encore.dev/internal/lifecycle"
	"encore.dev/internal/registry"
	"encore.dev/internal/server"
	"encore.dev/shutdown"
)

const usage = `Usage: %s [flags]          run the app
       %[1]s migrate          bring its databases up to date, and exit
       %[1]s health           exit with 0 if the one that runs here is healthy

Flags:
`

// settings are what the command line and the environment say about a run.
type settings struct {
	command  string // "", migrate or health
	env      appinfo.Env
	roles    lifecycle.Role
	listen   string
	drain    time.Duration
	shutdown time.Duration
}

// Main runs the app until it is told to stop, and exits.
//
// The roles of the process are set by --role (web, worker, scheduler; all by default), its
// address by --listen, or LISTEN_ADDR and PORT. SIGINT and SIGTERM stop it: it says that it is
// unhealthy and goes on serving for HOST_DRAIN_DELAY, so that whoever routes requests to it can stop
// doing so, and then ends within HOST_SHUTDOWN_TIMEOUT. A second signal ends it at once.
func Main() {
	set, err := readSettings(os.Args[1:], os.Getenv, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err == nil {
		err = runApp(set)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s\n", err)
		os.Exit(1)
	}
}

func readSettings(args []string, getenv func(string) string, out io.Writer) (settings, error) {
	var set settings
	if len(args) > 0 && (args[0] == "migrate" || args[0] == "health") {
		set.command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("app", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintf(out, usage, "app")
		flags.PrintDefaults()
	}
	role := flags.String("role", "web,worker,scheduler", "what this process does")
	listen := flags.String("listen", "", "address to listen on (default from LISTEN_ADDR and PORT)")
	if err := flags.Parse(args); err != nil {
		return set, flag.ErrHelp // it has been told
	}
	if flags.NArg() > 0 {
		return set, fmt.Errorf("%q is not a command; there are migrate and health", flags.Arg(0))
	}
	env, err := appinfo.ParseEnv(getenv("APP_ENV"))
	if err != nil {
		return set, err
	}
	set.env = env
	if err := applog.Check(); err != nil {
		return set, err
	}
	if set.roles, err = parseRoles(*role); err != nil {
		return set, err
	}
	set.listen = *listen
	if set.listen == "" {
		set.listen = listenAddr(env, getenv)
	}
	if set.shutdown, err = durationOf(getenv, "HOST_SHUTDOWN_TIMEOUT", 10*time.Second, time.Millisecond); err != nil {
		return set, err
	}
	if set.drain, err = durationOf(getenv, "HOST_DRAIN_DELAY", 0, 0); err != nil {
		return set, err
	}
	return set, db.CheckMaxConns()
}

func durationOf(getenv func(string) string, name string, fallback, least time.Duration) (time.Duration, error) {
	text := getenv(name)
	if text == "" {
		return fallback, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least {
		return 0, fmt.Errorf("%s is %q; it must be a duration like 10s, at least %s", name, text, least)
	}
	return d, nil
}

// listenAddr is the loopback address by default, and every address where others are meant to come.
func listenAddr(env appinfo.Env, getenv func(string) string) string {
	port := getenv("PORT")
	if port == "" {
		port = "8080"
	}
	addr := getenv("LISTEN_ADDR")
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	if addr == "" && !env.Deployed() {
		addr = "127.0.0.1"
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), port)
}

func parseRoles(list string) (roles lifecycle.Role, err error) {
	known := map[string]lifecycle.Role{"web": lifecycle.Web, "worker": lifecycle.Worker, "scheduler": lifecycle.Scheduler}
	for _, name := range splitList(list) {
		r, ok := known[name]
		if !ok {
			return 0, fmt.Errorf("--role: %q is not a role; there are web, worker and scheduler", name)
		}
		roles |= r
	}
	if roles == 0 {
		return 0, errors.New("--role: there must be one")
	}
	return roles, nil
}

// collectAt is how much a heap may grow before it is collected, in percent. What lives on between requests
// is small, and at Go's own 100 a tenth of the processor goes into collecting it.
const collectAt = 300

func runApp(set settings) error {
	// The first signal ends ctx; from then on another one has its usual effect, which is to end the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	defer stop()
	switch set.command {
	case "migrate":
		return db.Migrate(ctx)
	case "health":
		return askHealth(ctx, set.listen)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	log := applog.Process()
	demandSecrets(registry.Process().MissingSecrets(), set.env.Deployed())
	roles = set.roles
	srv, err := process()
	if err != nil {
		return err
	}
	listener, err := srv.Listen(ctx, set.listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", set.listen, err)
	}
	addServices(srv, listener)

	err = start(ctx, set.roles)
	if err == nil {
		log.Info().Str("address", listener.Addr().String()).Msg("ready")
		select {
		case <-ctx.Done():
			stop() // before the line below invites another signal
			srv.SetStopping()
			log.Info().Msg("stopping")
			err = drain(set.drain, listener.Failed())
		case err = <-listener.Failed():
		}
	} else if ctx.Err() != nil {
		err = nil // told to stop while it started
	}
	srv.SetStopping()
	// What still runs is cut off a little before nobody waits for it any more.
	if late := lifecycle.Stop(lifecycle.Deadlines{Tasks: set.shutdown * 4 / 5, Total: set.shutdown}); err == nil {
		err = late
	}
	return err
}

// drain goes on serving for a while. Another signal ends the process, as signals do.
func drain(length time.Duration, failed <-chan error) error {
	if length == 0 {
		return nil
	}
	select {
	case <-time.After(length):
		return nil
	case err := <-failed:
		return err
	}
}

// demandSecrets refuses, where others rely on the app, to start without a secret that is not optional. As
// a part among the resources its complaint comes together with theirs.
func demandSecrets(missing []string, deployed bool) {
	switch {
	case len(missing) == 0:
	case deployed:
		lifecycle.Add(lifecycle.Component{
			Name:  "secrets",
			Stage: lifecycle.Resources,
			Start: func(context.Context) error {
				return fmt.Errorf("not given: %s", strings.Join(missing, "; "))
			},
		})
	default:
		applog.Process().Info().Strs("secrets", missing).Msg("secrets that are not set read as empty")
	}
}

// start starts the parts. Their contexts outlive the signal that ends ctx, so that they can stop
// in order; but a signal while they start ends the start.
func start(ctx context.Context, roles lifecycle.Role) error {
	parts, cancel := context.WithCancel(context.WithoutCancel(ctx))
	keep := context.AfterFunc(ctx, cancel)
	err := lifecycle.Start(parts, roles)
	keep()
	return err
}

// addServices makes the service structs and the listener parts of the process.
func addServices(srv *server.Server, listener *server.Listener) {
	for _, svc := range registry.Process().Services() {
		lifecycle.Add(lifecycle.Component{
			Name:  svc.Name,
			Stage: lifecycle.Services,
			Start: func(context.Context) error {
				_, err := instances.Get(svc.Name)
				return err
			},
			Stop: func(p shutdown.Progress) error { return instances.Stop(svc.Name, p) },
		})
	}
	lifecycle.Add(lifecycle.Component{
		Name:  "http",
		Stage: lifecycle.Listener,
		Start: func(context.Context) error {
			srv.SetReady()
			return nil
		},
		Stop: listener.Stop,
	})
}
