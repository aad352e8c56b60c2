//go:build acceptance

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"encore.app/infra/devstack/seed"
)

// appConfig says how to start the app's binary.
type appConfig struct {
	database string
	seed     bool
	roles    string   // "" is all
	unset    []string // variables that it must not inherit
	env      []string // variables of its own
	log      *os.File // where it logs to; nil is a file that goes with the start
}

// app is a running process of the app.
type app struct {
	base string
	cmd  *exec.Cmd
	done chan struct{}
}

// startApp starts APP_BINARY on a free port and waits until it is ready.
func startApp(ctx context.Context, cfg appConfig) (*app, error) {
	binary := os.Getenv("APP_BINARY")
	if binary == "" {
		return nil, errors.New("set BASE_URL (and ISSUER) to test an app that runs, or APP_BINARY to have one started")
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	var args []string
	if cfg.roles != "" {
		args = append(args, "--role", cfg.roles)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "PORT="+port, "DATABASE_URL="+cfg.database, "APP_ENV=test", "LOG_FORMAT=json")
	cmd.Env = append(cmd.Env, "RATE_LIMITS=free=0,pro=0,enterprise=0,caller=0,address=0") // the suite calls more than people do
	cmd.Env = append(cmd.Env, cfg.env...)
	for _, name := range cfg.unset {
		cmd.Env = append(cmd.Env, name+"=")
	}
	log := cfg.log
	if log == nil {
		if log, err = os.CreateTemp("", "tenantry-app-*.log"); err != nil {
			return nil, err
		}
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	a := &app{base: "http://127.0.0.1:" + port, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		cmd.Wait()
		log.Close()
	}()
	if err := a.ready(ctx); err != nil {
		a.kill()
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("the app did not start: %w\n%s", err, text)
	}
	if cfg.log == nil {
		os.Remove(log.Name())
	}
	if cfg.seed {
		err = seed.Run(ctx, seed.Config{DatabaseURL: cfg.database, Issuer: os.Getenv("OIDC_ISSUER_URL"), DemoRealm: "../keycloak/demo.json"})
	}
	return a, err
}

func (a *app) ready(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := client.Get(a.base + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-a.done:
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// stop ends it as an operator would.
func (a *app) stop() {
	a.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-a.done:
	case <-time.After(15 * time.Second):
		a.kill()
	}
}

// kill ends it as a crash would.
func (a *app) kill() {
	a.cmd.Process.Kill()
	<-a.done
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
