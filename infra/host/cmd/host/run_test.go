package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// TestRun builds each archive's app, runs it against the real sdk, and compares its answers to the
// archive's requests. Then it runs the app's own tests.
func TestRun(t *testing.T) {
	t.Parallel()
	archives(t, "../../testdata/run/*.txtar", func(t *testing.T, path string, a *txtar.Archive) {
		root, ws := unpack(t, a)
		flags := []string{"--app", root, "--workspace", ws}
		bin := filepath.Join(root, "app.bin")
		if err := run(append(flags, "build", "-o", bin, "-revision", "r0"), io.Discard); err != nil {
			t.Fatal(err)
		}
		requests, err := os.ReadFile(filepath.Join(root, "requests"))
		if err != nil {
			t.Fatal(err)
		}
		base := start(t, bin)
		var b strings.Builder
		for line := range strings.Lines(string(requests)) {
			b.WriteString(answer(t, base, strings.TrimSpace(line)))
		}
		expect(t, path, a, "responses", b.String())

		if err := run(append(flags, "test", "-count=1", "./..."), io.Discard); err != nil {
			t.Errorf("the app's own tests: %v", err)
		}
	})
}

// start runs the app until the test ends and returns its base URL once it is healthy.
func start(t *testing.T, bin string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()

	cmd := exec.Command(bin, "--listen", addr)
	cmd.Env = append(os.Environ(), "APP_ENV=dev", "LOG_FORMAT=json", "GREETING=hello")
	log := &strings.Builder{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		select {
		case err := <-exited:
			if err != nil {
				t.Errorf("the app did not stop cleanly: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the app did not stop")
			_ = cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	base := "http://" + addr
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		resp, err := http.Get(base + "/__encore/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return base
			}
		}
		select {
		case <-tick.C:
		case err := <-exited:
			exited <- err
			t.Fatalf("the app exited: %v\n%s", err, log)
		case <-ctx.Done():
			t.Fatalf("the app is not healthy: %v", err)
		}
	}
}

// shown are the response headers that the expectations hold.
var shown = []string{"Content-Type", "Allow", "ETag", "X-Order"}

// answer sends one line of requests, METHOD PATH | Header: value | body, and renders the response.
func answer(t *testing.T, base, line string) string {
	t.Helper()
	parts := strings.Split(line, " | ")
	method, path, _ := strings.Cut(parts[0], " ")
	body := ""
	headers := http.Header{"X-Request-Id": {"r1"}}
	for _, p := range parts[1:] {
		if name, value, ok := strings.Cut(p, ": "); ok && !strings.HasPrefix(p, "{") {
			headers.Set(name, value)
		} else {
			body = p
		}
	}
	req, err := http.NewRequest(method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = headers
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d\n", line, resp.StatusCode)
	for _, h := range shown {
		if v := resp.Header.Values(h); len(v) > 0 {
			fmt.Fprintf(&b, "%s: %s\n", h, strings.Join(v, ", "))
		}
	}
	fmt.Fprintf(&b, "%s\n\n", strings.TrimSpace(string(data)))
	return b.String()
}
