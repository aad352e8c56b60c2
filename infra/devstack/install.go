package devstack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"encore.app/infra/devstack/proc"
)

// NotInstalledError names the Debian packages that a stack lacks.
type NotInstalledError struct{ Packages []string }

func (e *NotInstalledError) Error() string {
	return "some Debian packages are missing; install them with\n  sudo apt-get install -y --no-install-recommends " + strings.Join(e.Packages, " ")
}

// install sees to it that the packages of every plan are there. A part that the app has a
// stand-in for, and that nobody requires, is done without instead.
func (s *stack) install(ctx context.Context, plans []plan) error {
	var needed []string
	for i := range plans {
		p := &plans[i]
		if p.debian == nil {
			continue
		}
		optional := p.absent != "" && !slices.Contains(s.config.Require, p.name)
		if !optional {
			needed = append(needed, p.debian...)
			continue
		}
		if os.Geteuid() == 0 && s.aptInstall(ctx, p.debian) == nil {
			continue
		}
		p.start, p.absent = nil, strings.Join(p.debian, " ")+" is not installed"
	}
	var curl []string
	if _, err := exec.LookPath("curl"); err != nil {
		curl = []string{"curl"} // the banner's command is to work too, but is no reason not to start
	}
	switch root := os.Geteuid() == 0; {
	case needed != nil && root:
		return s.aptInstall(ctx, append(needed, curl...))
	case needed != nil:
		return &NotInstalledError{Packages: append(needed, curl...)}
	case curl != nil && root:
		if err := s.aptInstall(ctx, curl); err != nil && ctx.Err() == nil {
			s.logf("going on without curl: %v", err)
		}
	}
	return ctx.Err()
}

// noServers are packages that start nothing.
var noServers = []string{"npm", "curl", "maven", "default-jre-headless", "chromium", "chromium-driver"}

// aptInstall installs packages, with fresh lists if the ones at hand do not do.
func (s *stack) aptInstall(ctx context.Context, packages []string) error {
	s.logf("installing %s (apt-get install; its output: %s)", strings.Join(packages, " "), s.data.log("apt"))
	log, err := os.OpenFile(s.data.log("apt"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	apt := func(args ...string) error { return s.runTool(ctx, log, append([]string{"apt-get"}, args...)) }
	install := append([]string{"install", "-y", "--no-install-recommends"}, packages...)
	if err := apt(install...); err != nil {
		if err := apt("update"); err != nil {
			return err
		}
		if err := apt(install...); err != nil {
			return err
		}
	}
	// The stack runs its own servers; those that a package may have started would only be in the way.
	for _, name := range packages {
		if slices.Contains(noServers, name) {
			continue
		}
		if _, err := os.Stat("/run/systemd/system"); err == nil {
			_ = s.runTool(ctx, log, []string{"systemctl", "disable", "--now", name})
		} else {
			_ = s.runTool(ctx, log, []string{"service", name, "stop"})
		}
	}
	if slices.Contains(packages, "rabbitmq-server") {
		// Even the stopping starts Erlang's port mapper, which stays. One that has nodes refuses to go.
		_ = s.runTool(ctx, log, []string{"epmd", "-kill"})
	}
	return nil
}

// runTool runs a system tool to its end, or to that of ctx.
func (s *stack) runTool(ctx context.Context, log *os.File, args []string) error {
	child, err := proc.Launch(proc.Command{
		Name: args[0], Args: args, Stdout: log, Stderr: log,
		// RUNLEVEL 1 keeps package scripts from starting services.
		Env: s.config.Env.With(Env{"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1", "LC_ALL": "C.UTF-8"}).List(),
	})
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		child.Stop()
		return ctx.Err()
	case <-child.Done():
	}
	if code := child.ExitCode(); code != 0 {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), &proc.ExitError{Name: args[0], Code: code, Tail: proc.Tail(log.Name())})
	}
	return nil
}
