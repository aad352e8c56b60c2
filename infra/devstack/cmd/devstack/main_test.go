//go:build !encore_app

// These tests start their own binary again, which is something that a binary built by Encore cannot be.

package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"encore.app/infra/devstack/cerbos"
)

const (
	patience    = 60 * time.Second
	secondStart = 10 * time.Second // about one when nothing else runs; room for a busy machine
	appExit     = 3                // of the app below when it is told to stop
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
		`echo "env=$APP_ENV db=$DATABASE_URL pdp=$CERBOS_ADDR port=${PORT:-none} objects=$OBJECT_STORE_URL redis=$REDIS_URL"; exit 7`)
	if code != 7 {
		t.Errorf("exit code %d, want the command's", code)
	}
	for _, want := range []string{
		"env=test db=postgres://tenantry:", "pdp=127.0.0.1:", "objects=file:///", "redis=\n",
		"ran against: postgres 1", "cerbos " + cerbos.ServerVersion, " · issuer dev (", "could not have: redis (", "keycloak (",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "port=none") || strings.Contains(out, "port=4000 ") {
		t.Errorf("no port of its own in:\n%s", out)
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
