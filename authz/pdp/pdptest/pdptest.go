// Package pdptest gives tests a real policy decision point that serves the
// policies of this build.
//
// CERBOS_ADDR names one that is running; otherwise CERBOS_BIN names the cerbos
// binary and every test program starts its own. With neither, tests fail: a
// policy test that did not run proves nothing.
package pdptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"encore.app/authz/pdp"
	"encore.app/policies"
)

// startWithin bounds the start of a decision point; a quarter of a second is
// usual.
const startWithin = 20 * time.Second

// Strict are the settings that the policies rely on.
var Strict = []string{"engine.strictEvaluation=true", "schema.enforcement=reject"}

// Server is a decision point that this program started.
type Server struct {
	Addr string
	// Policies is the directory that it serves.
	Policies string

	dir  string
	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has been waited for
}

var addr string

// Addr is the decision point that Main found or started.
func Addr() string { return addr }

// Main runs the tests of a package beside a decision point. Use it as
// os.Exit(pdptest.Main(m)) in TestMain.
func Main(m *testing.M) int {
	if addr = os.Getenv("CERBOS_ADDR"); addr != "" {
		return m.Run()
	}
	server, err := Start(Strict...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Stop()
	addr = server.Addr
	return m.Run()
}

// Start runs the binary that CERBOS_BIN names on the bundle of this build, with
// the settings given, on a socket of its own.
func Start(settings ...string) (*Server, error) { return StartOn(policies.FS, settings...) }

// StartOn is Start on another bundle.
func StartOn(bundle fs.FS, settings ...string) (*Server, error) {
	bin := os.Getenv("CERBOS_BIN")
	if bin == "" {
		return nil, errors.New("pdptest: these tests need a policy decision point: set CERBOS_ADDR to one that serves policies/, or CERBOS_BIN to the cerbos binary")
	}
	dir, err := os.MkdirTemp("", "pdp")
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: "unix:" + filepath.Join(dir, "grpc.sock"), Policies: filepath.Join(dir, "policies"), dir: dir}
	if err := os.CopyFS(s.Policies, bundle); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.args = []string{bin, "server", "--debug-listen-addr=", "--log-level=error"}
	for _, set := range append([]string{
		"server.grpcListenAddr=" + s.Addr,
		"server.httpListenAddr=unix:" + filepath.Join(dir, "http.sock"),
		"storage.driver=disk",
		"storage.disk.directory=" + s.Policies,
		"telemetry.disabled=true",
	}, settings...) {
		s.args = append(s.args, "--set="+set)
	}
	if err := s.Run(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// Run starts the process again that Kill ended.
func (s *Server) Run() error {
	var log bytes.Buffer
	s.cmd, s.done = exec.Command(s.args[0], s.args[1:]...), make(chan struct{})
	s.cmd.Stdout, s.cmd.Stderr = &log, &log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("pdptest: CERBOS_BIN: %w", err)
	}
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait() // how it ended is told by await
	}()
	if err := s.await(); err != nil {
		s.Kill()
		return fmt.Errorf("%w\n%s", err, log.String())
	}
	return nil
}

// Kill ends the process and waits for it; Run starts it again.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // fails only where it has ended already
	<-s.done
}

// Stop ends the process for good.
func (s *Server) Stop() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

func (s *Server) await() error {
	client, err := pdp.New(pdp.Config{Addr: s.Addr})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := client.Version(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.done:
			return errors.New("pdptest: the policy decision point ended while starting")
		case <-ctx.Done():
			return fmt.Errorf("pdptest: the policy decision point did not answer within %s: %w", startWithin, err)
		}
	}
}
