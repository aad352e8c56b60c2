//go:build !encore_app

// These tests start their own binary again, which is something that a binary built by Encore cannot be.

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"encore.app/infra/devstack/cerbos"
)

// checkout is a small one, below a directory that only this user may enter.
type checkout struct {
	t    *testing.T
	dir  string
	self string
	env  []string
}

func newCheckout(t *testing.T) *checkout {
	t.Helper()
	repo, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	server, err := cerbos.Fetch(t.Context(), filepath.Join(repo, ".dev", "tools"), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &checkout{t: t, dir: t.TempDir(), self: self}
	if err := os.Chmod(c.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// What is set for the tests' own run must not decide here.
	c.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "DEVSTACK_TEST=command", "CERBOS_BIN=" + server}
	c.write("encore.app", "{}")
	c.write("policies/doc.yaml", policy)
	for _, name := range []string{"infra/keycloak/tenantry-realm.json", "infra/keycloak/demo.json"} {
		text, err := os.ReadFile(filepath.Join(repo, name))
		if err != nil {
			t.Fatal(err)
		}
		c.write(name, string(text))
	}
	return c
}

func (c *checkout) write(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// running is a started devstack.
type running struct {
	t   *testing.T
	cmd *exec.Cmd
	out *output
}

func (c *checkout) start(env []string, args ...string) *running {
	c.t.Helper()
	r := &running{t: c.t, cmd: exec.Command(c.self, args...), out: &output{grew: make(chan struct{}, 1)}}
	r.cmd.Dir, r.cmd.Env = c.dir, slices.Concat(c.env, env)
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	r.cmd.WaitDelay = 5 * time.Second
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = r.cmd.Process.Signal(syscall.SIGTERM) })
	return r
}

func (c *checkout) run(env []string, args ...string) (code int, out string) {
	c.t.Helper()
	r := c.start(env, args...)
	return r.wait(), r.out.String()
}

// runShell runs what the banner tells people to type.
func (c *checkout) runShell(script string) string {
	c.t.Helper()
	out, err := exec.CommandContext(c.t.Context(), "/bin/sh", "-c", script).CombinedOutput()
	if err != nil {
		c.t.Errorf("%s: %v: %s", script, err, out)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "{}")
}

// between cuts a text out of another, its start included.
func between(t *testing.T, text, from, to string) string {
	t.Helper()
	i := strings.Index(text, from)
	if i < 0 {
		t.Fatalf("no %q in:\n%s", from, text)
	}
	cut, _, found := strings.Cut(text[i:], to)
	if !found {
		t.Fatalf("no %q in:\n%s", to, text[i:])
	}
	return cut
}

// await returns once the output has a text.
func (r *running) await(text string) {
	r.t.Helper()
	deadline := time.After(patience)
	for !strings.Contains(r.out.String(), text) {
		select {
		case <-r.out.grew:
		case <-deadline:
			r.t.Fatalf("it never said %q:\n%s", text, r.out.String())
		}
	}
}

func (r *running) wait() int {
	_ = r.cmd.Wait() // ProcessState says how it ended
	return r.cmd.ProcessState.ExitCode()
}

// pids reads the pid files of a checkout.
func (c *checkout) pids() map[string]int {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(c.dir, ".dev", "run", "*.pid"))
	if err != nil {
		c.t.Fatal(err)
	}
	pids := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		var record struct{ PID int }
		if err == nil {
			err = json.Unmarshal(text, &record)
		}
		if err != nil {
			c.t.Fatal(err)
		}
		pids[strings.TrimSuffix(filepath.Base(file), ".pid")] = record.PID
	}
	return pids
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func awaitGone(t *testing.T, name string, pid int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for syscall.Kill(pid, 0) == nil {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(text), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s (process %d) is still there", name, pid)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// output collects what a process writes and says when there is more.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	grew chan struct{}
}

var _ io.Writer = (*output)(nil)

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.grew <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
