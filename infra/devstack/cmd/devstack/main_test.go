package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
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

const (
	patience    = 60 * time.Second
	secondStart = 3 * time.Second // how soon a second start is there
	appExit     = 3               // of the app below when it is told to stop
	policy      = `apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: doc
  version: default
  rules:
    - {actions: [read], effect: EFFECT_ALLOW, roles: [user]}
`
)

// TestMain makes this test program the command itself, or an app for it to run.
func TestMain(m *testing.M) {
	switch os.Getenv("DEVSTACK_TEST") {
	case "app":
		app()
	case "command":
		main()
	default:
		os.Exit(m.Run())
	}
}

// app is ready at once and ends with appExit.
func app() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT)
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	}()
	<-stop
	os.Exit(appExit)
}

func TestRun(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	port := freePort(t)
	env := []string{"PORT=" + port, "ISSUER_ADDR=127.0.0.1:" + freePort(t)}
	// The app is the shell's child, as it is that of `go run`.
	appCommand := []string{"run", "--", "/bin/sh", "-c", "trap : INT; DEVSTACK_TEST=app " + c.self}

	first := c.start(env, appCommand...)
	first.await("Tenantry is ready.")
	pids := c.pids()
	if len(pids) != 3 {
		t.Fatalf("running: %v, want app, cerbos and postgres", pids)
	}

	for _, verb := range [][]string{{"run", "--", "true"}, {"up"}, {"reset"}} {
		if code, out := c.run(nil, verb...); code != 1 || !strings.Contains(out, "another devstack (process "+strconv.Itoa(first.cmd.Process.Pid)+")") {
			t.Errorf("%v beside it: exit code %d, %s", verb, code, out)
		}
	}

	kill(t, pids["cerbos"])
	first.await("cerbos serves again")

	pids = c.pids()
	kill(t, first.cmd.Process.Pid)
	first.wait()
	for name, pid := range pids {
		awaitGone(t, name, pid)
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		conn.Close()
		t.Error("the app outlived the stack")
	}

	before := time.Now()
	second := c.start(env, appCommand...)
	second.await("Tenantry is ready.")
	if took := time.Since(before); took > secondStart {
		t.Errorf("the second start took %s, want less than %s", took, secondStart)
	}
	second.await("/api/v1/me")
	token := c.runShell(between(t, second.out.String(), "TOKEN=", "/api/v1/me") + `/api/v1/me; echo "$TOKEN"`)
	if strings.Count(token, ".") != 2 {
		t.Errorf("the printed command gets no token: %q", token)
	}

	pids = c.pids()
	if err := second.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := second.wait(); code != appExit {
		t.Errorf("exit code %d, want the app's %d", code, appExit)
	}
	for name, pid := range pids {
		awaitGone(t, name, pid)
	}
	if left := c.pids(); len(left) != 0 {
		t.Errorf("pid files left: %v", left)
	}

	if code, out := c.run(nil, "reset"); code != 0 {
		t.Errorf("reset: exit code %d, %s", code, out)
	}
	if _, err := os.Stat(filepath.Join(c.dir, ".dev", "postgres")); !os.IsNotExist(err) {
		t.Errorf("the data is still there (%v)", err)
	}
}

func TestUp(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	up := c.start([]string{"ISSUER_ADDR=127.0.0.1:" + freePort(t)}, "up", "--secrets", "EXTRA_KEY")
	up.await("the stack runs")
	for _, name := range []string{"HOST='127.0.0.1:", "DATABASE='postgres'", "USER='postgres'", "PASSWORD='"} {
		if !strings.Contains(up.out.String(), "export ENCORE_SQLDB_"+name) {
			t.Errorf("no ENCORE_SQLDB_%s in:\n%s", name, up.out.String())
		}
	}
	text, err := os.ReadFile(filepath.Join(c.dir, ".secrets.local.cue"))
	if err != nil || !strings.Contains(string(text), "CERBOS_ADDR: \"127.0.0.1:") || !strings.Contains(string(text), "EXTRA_KEY: \"\"") {
		t.Errorf("secrets (%v):\n%s", err, text)
	}
	if err := up.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := up.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	code, out := c.run(nil, "exec", "--require", "postgres,cerbos", "--", "/bin/sh", "-c",
		`echo "env=$APP_ENV db=$DATABASE_URL pdp=$CERBOS_ADDR port=$PORT objects=$OBJECT_STORE_URL redis=$REDIS_URL"; exit 7`)
	if code != 7 {
		t.Errorf("exit code %d, want the command's", code)
	}
	for _, want := range []string{
		"env=test db=postgres://tenantry:", "pdp=127.0.0.1:", "port=2", "objects=file:///", "redis=\n",
		"ran against: postgres 1", "cerbos " + cerbos.ServerVersion, " · issuer dev (", "could not have: redis (", "keycloak (",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if left, err := filepath.Glob(filepath.Join(c.dir, ".dev", "test-*")); err != nil || left != nil {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// TestRefusals are starts that must fail, saying why.
func TestRefusals(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	stranger, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	_, taken, err := net.SplitHostPort(stranger.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	run := []string{"run", "--", "true"}
	port := "PORT=" + freePort(t)
	for _, tc := range []struct {
		name string
		env  []string
		args []string
		want []string
	}{
		{"API port", []string{"PORT=" + taken}, run, []string{taken, "PORT"}},
		{"Postgres port", []string{port, "POSTGRES_PORT=" + taken}, run, []string{taken, "POSTGRES_PORT"}},
		{"Cerbos port", []string{port, "CERBOS_PORT=" + taken}, run, []string{taken, "CERBOS_PORT"}},
		{"issuer's address", []string{port, "ISSUER_ADDR=127.0.0.1:" + taken}, run, []string{taken, "ISSUER_ADDR"}},
		{"issuer that is not there", []string{port, "OIDC_ISSUER_URL=http://127.0.0.1:1/realms/x"}, run, []string{"issuer", "OIDC_ISSUER_URL"}},
		{"Postgres that is not there", []string{port, "DATABASE_URL=postgres://u:p@127.0.0.1:1/x"}, run, []string{"postgres", "DATABASE_URL"}},
		{"Redis that is not there", []string{port, "REDIS_URL=redis://127.0.0.1:1"}, run, []string{"redis", "REDIS_URL"}},
		{"RabbitMQ that is not there", []string{port, "RABBITMQ_URL=amqp://127.0.0.1:1"}, run, []string{"rabbitmq", "RABBITMQ_URL"}},
		{"Cerbos that is not there", []string{port, "CERBOS_ADDR=127.0.0.1:1"}, run, []string{"cerbos", "CERBOS_ADDR"}},
		{"production", []string{port, "APP_ENV=production"}, run, []string{"DATABASE_URL", "CERBOS_ADDR", "OIDC_ISSUER_URL", "REDIS_URL", "RABBITMQ_URL", "OBJECT_STORE_URL"}},
		{"a part of no known name", nil, []string{"exec", "--require", "kafka", "--", "true"}, []string{"kafka"}},
		{"no command", nil, []string{"exec"}, []string{"usage"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, out := c.run(append([]string{"ISSUER_ADDR=127.0.0.1:" + freePort(t)}, tc.env...), tc.args...)
			if code == 0 {
				t.Error("it started")
			}
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in: %s", want, out)
				}
			}
		})
	}
	t.Run("broken policies", func(t *testing.T) {
		c.write("policies/doc.yaml", strings.Replace(policy, "EFFECT_ALLOW", "EFFECT_PERHAPS", 1))
		if code, out := c.run([]string{port, "ISSUER_ADDR=127.0.0.1:" + freePort(t)}, run...); code != 1 || !strings.Contains(out, "EFFECT_PERHAPS") {
			t.Errorf("exit code %d, %s", code, out)
		}
	})
	if left := c.pids(); len(left) != 0 {
		t.Errorf("still running: %v", left)
	}
}

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
