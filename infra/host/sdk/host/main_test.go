//go:build stockhost

package host

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"encore.dev/rlog"
	"encore.dev/shutdown"
)

// The tests run an app as a process of its own: this binary, with the variable below set.
const childEnv = "HOST_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childEnv); mode != "" {
		childApp(mode)
		Main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// service is the child's only service.
type service struct{ hits int }

// childApp registers what generated code would.
func childApp(mode string) {
	if mode == "secrets" {
		LoadSecrets("child/svc", &struct{ LOST_KEY, OFF_KEY, OTHER_KEY string }{}, "OFF_KEY")
	}
	RegisterApp(App{ID: "child", Revision: "abc"})
	RegisterService(&Service{
		Name: "svc", Package: "child/svc", Struct: reflect.TypeFor[*service](),
		Init: func() (any, error) {
			if mode == "init fails" {
				return nil, errors.New("no licence key")
			}
			return &service{}, nil
		},
		Shutdown: func(_ any, p shutdown.Progress) error {
			rlog.Info("hook", "requests_done", p.OutstandingRequests.Err() != nil)
			return nil
		},
	})
	RegisterEndpoint(&Endpoint{
		Service: "svc", Name: "Wait", Access: Public, Raw: true, Methods: []string{"GET"}, Path: "/wait",
		Handle: func(w http.ResponseWriter, _ *http.Request) {
			rlog.Info("waiting")
			_, _ = io.Copy(io.Discard, os.Stdin) // until the test closes it
			_, _ = io.WriteString(w, "waited")
		},
	})
	type resp struct{ Same bool }
	RegisterEndpoint(&Endpoint{
		Service: "svc", Name: "Self", Access: Public, Methods: []string{"GET"}, Path: "/self", Response: reflect.TypeFor[resp](),
		Call: func(ctx context.Context, _ []any, _ any) (any, error) {
			if _, err := Call(ctx, "svc", "Noop", nil, nil); err != nil {
				return nil, err
			}
			a, err := Instance[service]("svc")
			if err != nil {
				return nil, err
			}
			b, err := Instance[service]("svc")
			return &resp{a == b && a.hits == 1}, err
		},
	})
	RegisterEndpoint(&Endpoint{
		Service: "svc", Name: "Noop", Access: Private, Methods: []string{"POST"}, Path: "/svc.Noop",
		Call: func(context.Context, []any, any) (any, error) {
			svc, err := Instance[service]("svc")
			if err == nil {
				svc.hits++
			}
			return nil, err
		},
	})
}

// child is a running app.
type child struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	base   string
	lines  chan map[string]any
	mu     sync.Mutex
	stderr bytes.Buffer
}

func startChild(t *testing.T, mode string, env []string, args ...string) *child {
	t.Helper()
	c := &child{lines: make(chan map[string]any, 100)}
	c.cmd = exec.Command(os.Args[0], append([]string{"--listen", "127.0.0.1:0"}, args...)...)
	c.cmd.Env = append(append(os.Environ(), childEnv+"="+mode, "LOG_FORMAT=json"), env...)
	pipe, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(pipe); s.Scan(); {
			c.mu.Lock()
			c.stderr.WriteString(s.Text() + "\n")
			c.mu.Unlock()
			var line map[string]any
			if json.Unmarshal(s.Bytes(), &line) == nil {
				c.lines <- line
			}
		}
	}()
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	return c
}

func (c *child) log() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stderr.String()
}

// await waits for the line with a message.
func (c *child) await(t *testing.T, msg string) map[string]any {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-c.lines:
			if !ok {
				t.Fatalf("the app ended without saying %q:\n%s", msg, c.log())
			}
			if line["msg"] == msg {
				if addr, ok := line["address"].(string); ok {
					c.base = "http://" + addr
				}
				return line
			}
		case <-late:
			t.Fatalf("the app never said %q:\n%s", msg, c.log())
		}
	}
}

func (c *child) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := http.Get(c.base + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(body))
}

// exit waits for the end and gives the exit code.
func (c *child) exit(t *testing.T) int {
	t.Helper()
	for range c.lines { // until standard error ends
	}
	_ = c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode()
}

func TestServesAndDrains(t *testing.T) {
	t.Parallel()
	c := startChild(t, "plain", nil)
	c.await(t, "ready")
	if status, body := c.get(t, "/self"); status != 200 || body != `{"Same":true}` {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := c.get(t, "/metrics"); status != 200 || !strings.Contains(body, `endpoint="Self"`) {
		t.Fatalf("%d %s", status, body)
	}
	answered := make(chan string, 1)
	go func() {
		resp, err := http.Get(c.base + "/wait")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answered <- string(body)
	}()
	if line := c.await(t, "waiting"); line["service"] != "svc" || line["endpoint"] != "Wait" || line["request_id"] == nil {
		t.Errorf("the line does not say its request: %v", line)
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.await(t, "stopping")
	for conn, err := net.Dial("tcp", strings.TrimPrefix(c.base, "http://")); err == nil; conn, err = net.Dial("tcp", strings.TrimPrefix(c.base, "http://")) {
		_ = conn.Close() // until no new request gets in
	}
	if err := c.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	got := <-answered
	if line := c.await(t, "hook"); line["requests_done"] != true || line["service"] != "svc" {
		t.Errorf("the hook ran too early: %v", line)
	}
	if code := c.exit(t); code != 0 || got != "waited" {
		t.Errorf("exit %d, the request got %q:\n%s", code, got, c.log())
	}
}

func TestGoesOnServingWhileItDrains(t *testing.T) {
	t.Parallel()
	c := startChild(t, "plain", []string{"HOST_DRAIN_DELAY=5m"})
	c.await(t, "ready")
	health := func() error {
		cmd := exec.Command(os.Args[0], "health", "--listen", strings.TrimPrefix(c.base, "http://"))
		cmd.Env = append(os.Environ(), childEnv+"=plain")
		return cmd.Run()
	}
	if err := health(); err != nil {
		t.Errorf("healthy: %v", err)
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	c.await(t, "stopping")
	resp, err := http.Get(c.base + "/self")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !resp.Close {
		t.Errorf("got %s, connection closes: %t", resp.Status, resp.Close)
	}
	var exit *exec.ExitError
	if err := health(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("while it drains it is healthy: %v", err)
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	if code := c.exit(t); code != -1 {
		t.Errorf("exit %d:\n%s", code, c.log())
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	c := startChild(t, "plain", []string{"HOST_SHUTDOWN_TIMEOUT=5m"})
	c.await(t, "ready")
	go func() {
		if resp, err := http.Get(c.base + "/wait"); err == nil {
			_ = resp.Body.Close()
		}
	}()
	c.await(t, "waiting")
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	c.await(t, "stopping")
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	if code := c.exit(t); code != -1 { // ended by the signal
		t.Errorf("exit %d:\n%s", code, c.log())
	}
}

func TestFailedStartIsOneMessage(t *testing.T) {
	t.Parallel()
	for mode, tc := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"init fails": {nil, nil, "svc: service svc: no licence key"},
		"secrets":    {[]string{"APP_ENV=production"}, nil, "secrets: not given: LOST_KEY (used by child/svc): not set; OTHER_KEY"},
		"bad env":    {[]string{"APP_ENV=prod"}, nil, "APP_ENV is \"prod\""},
		"bad limit":  {[]string{"HOST_BODY_LIMIT=many"}, nil, "HOST_BODY_LIMIT"},
		"bad origin": {[]string{"CORS_ORIGINS=*"}, nil, "CORS"},
		"bad listen": {nil, []string{"--listen", "nowhere:0"}, "cannot listen on nowhere:0"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			c := startChild(t, mode, tc.env, tc.args...)
			if code := c.exit(t); code != 1 || strings.Count(c.log(), tc.want) != 1 {
				t.Errorf("exit %d, want one %q:\n%s", code, tc.want, c.log())
			}
		})
	}
}

func TestMigrateWithoutDatabases(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "migrate")
	cmd.Env = append(os.Environ(), childEnv+"=plain")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) != 0 {
		t.Errorf("%v: %s", err, out)
	}
}
