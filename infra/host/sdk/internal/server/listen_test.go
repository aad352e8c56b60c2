//go:build stockhost

package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"encore.dev/shutdown"
)

// listen serves an app on a free port until the test ends.
func listen(t *testing.T, a *app) *Listener {
	t.Helper()
	l, err := a.server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = l.Stop(shutdown.Progress{ForceCloseTasks: ctx, ForceShutdown: ctx})
	})
	return l
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	const short = 50 * time.Millisecond
	a := newApp(t, func(a *app) { a.config.Limits = Limits{ReadHeader: short, Read: short, Idle: short} },
		typed("POST", "/b", func(context.Context, []any, *validated) (*none, error) { return nil, nil }))
	l := listen(t, a)
	for name, tc := range map[string]struct{ sent, want string }{
		"header never ends": {"POST /b HTTP/1.1\r\nHost: x\r\n", ""},
		"body never ends":   {"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{\"ti", "HTTP/1.1 400 "},
		"says nothing":      {"", ""},
		"stays idle":        {"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 "},
	} {
		c := dial(t, l)
		if _, err := io.WriteString(c, tc.sent); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c) // ends when the server cuts
		if err != nil || !strings.HasPrefix(string(got), tc.want) {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}

func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	l := listen(t, newApp(t, raw("GET", "/x", echoPath)))
	c := dial(t, l)
	go func() { // the server may stop reading before all is written
		_, _ = io.WriteString(c, "GET /x HTTP/1.1\r\nHost: x\r\nX-Big: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	}()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 431 ") {
		t.Errorf("%q %v", line, err)
	}
}

func TestHandlerDeadline(t *testing.T) {
	t.Parallel()
	a := newApp(t, func(a *app) { a.config.Limits.Handler = 20 * time.Millisecond },
		typed("GET", "/waits", func(ctx context.Context, _ []any, _ *none) (*none, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
	got := a.do("GET", "/waits", "")
	if e := got.errorBody(t); got.status != 504 || e.Details.Reason != reasonDeadline {
		t.Errorf("%+v", got)
	}
}

func TestUnencryptedHTTP2(t *testing.T) {
	t.Parallel()
	l := listen(t, newApp(t, raw("GET", "/x", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })))
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &p}}
	resp, err := client.Get("http://" + l.Addr().String() + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "HTTP/2.0" {
		t.Errorf("%s", body)
	}
	client.CloseIdleConnections()
}

func TestStopDrains(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	a := newApp(t, typed("GET", "/x", func(ctx context.Context, _ []any, _ *none) (*textResp, error) {
		close(entered)
		<-release
		return &textResp{"done"}, ctx.Err()
	}))
	l := listen(t, a)
	answered := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String() + "/x")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answered <- string(body)
	}()
	<-entered
	stopped := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	go func() { stopped <- l.Stop(shutdown.Progress{ForceCloseTasks: ctx, ForceShutdown: ctx}) }()
	for c, err := net.Dial("tcp", l.Addr().String()); err == nil; c, err = net.Dial("tcp", l.Addr().String()) {
		_ = c.Close() // until no new connection is taken
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped while a request runs: %v", err)
	default:
	}
	close(release)
	if got := <-answered; got != `{"text":"done"}`+"\n" {
		t.Errorf("the running request got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestStopCutsOffWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	entered, cause := make(chan struct{}), make(chan error, 1)
	a := newApp(t, typed("GET", "/x", func(ctx context.Context, _ []any, _ *none) (*none, error) {
		close(entered)
		<-ctx.Done()
		cause <- ctx.Err()
		return nil, ctx.Err()
	}))
	l := listen(t, a)
	go func() {
		if resp, err := http.Get("http://" + l.Addr().String() + "/x"); err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-entered
	force, cancel := context.WithCancel(context.Background())
	end, cancelEnd := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancelEnd()
	cancel()
	if err := l.Stop(shutdown.Progress{ForceCloseTasks: force, ForceShutdown: end}); err != nil {
		t.Error(err)
	}
	if err := <-cause; !errors.Is(err, context.Canceled) {
		t.Errorf("the request's context: %v", err)
	}
}

func TestDeadlineContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, 1))
	var c deadlineContext
	c.start(parent, time.Now().Add(time.Hour))
	if c.Err() != nil || c.Value(key{}) != 1 {
		t.Fatal("a fresh context must be live")
	}
	child, stop := context.WithCancel(&c)
	defer stop()
	cancel()
	<-child.Done()
	if !errors.Is(c.Err(), context.Canceled) || c.Value(key{}) != 1 {
		t.Error("the parent's end must arrive")
	}

	var past deadlineContext
	past.start(t.Context(), time.Now().Add(-time.Second))
	if !errors.Is(past.Err(), context.DeadlineExceeded) {
		t.Errorf("unarmed: %v", past.Err())
	}
	<-past.Done()
	if !errors.Is(past.Err(), context.DeadlineExceeded) {
		t.Errorf("armed: %v", past.Err())
	}

	var early deadlineContext
	sooner, stopSooner := context.WithDeadline(t.Context(), time.Now().Add(time.Minute))
	defer stopSooner()
	early.start(sooner, time.Now().Add(time.Hour))
	if d, _ := early.Deadline(); time.Until(d) > time.Minute {
		t.Error("the parent's deadline is sooner")
	}

	for _, arm := range []bool{true, false} {
		var ended deadlineContext
		ended.start(t.Context(), time.Now().Add(time.Hour))
		if arm {
			ended.Done()
		}
		ended.end()
		if !errors.Is(ended.Err(), context.Canceled) {
			t.Errorf("armed %v: %v after the end", arm, ended.Err())
		}
		<-ended.Done()
	}
}
