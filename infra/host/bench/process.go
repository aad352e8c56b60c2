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
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server under test.
type process struct {
	name   string
	addr   string
	cmd    *exec.Cmd
	log    strings.Builder
	exited chan error
}

// path is what is asked for.
const path = "/documents/0192f0c1-7a5e-7cc3-9a34-5d1f0f4b7a42"

// start runs a server and returns once it answers the read.
func start(ctx context.Context, name, binary, token string, env ...string) (*process, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &process{name: name, addr: l.Addr().String(), exited: make(chan error, 1)}
	l.Close()
	p.cmd = exec.Command(binary, "--listen", p.addr)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.exited <- p.cmd.Wait() }()

	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if a, err := get(ctx, p.url(), token); err == nil && a.status == http.StatusOK {
			return p, nil
		}
		select {
		case <-tick.C:
		case err := <-p.exited:
			return nil, fmt.Errorf("%s exited: %w\n%s", name, err, &p.log)
		case <-ctx.Done():
			err := errors.Join(fmt.Errorf("%s does not answer the read", name), p.stop())
			return nil, fmt.Errorf("%w\n%s", err, &p.log)
		}
	}
}

func (p *process) url() string { return "http://" + p.addr + path }

// answer is what a client sees, but for what differs from one answer to the next.
type answer struct {
	status  int
	headers string
	body    string
}

func get(ctx context.Context, url, token string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if id := resp.Header["X-Request-Id"]; len(id) == 1 {
		id[0] = fmt.Sprintf("%d characters", len(id[0]))
	}
	resp.Header.Del("Date")
	return answer{resp.StatusCode, fmt.Sprint(resp.Header), string(body)}, err
}

// stop ends the server and waits for it.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited: // the bare server knows no clean end
		return nil
	case <-time.After(15 * time.Second):
		return errors.Join(fmt.Errorf("%s did not stop", p.name), p.cmd.Process.Kill(), <-p.exited)
	}
}

// cpu is the processor time that a process has used.
func cpu(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), ") ") // the name before it may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is not what it was", pid)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, err // ticks, 100 a second on Linux
}

// memory is what a process holds in RAM, now and at most, in MiB.
func memory(pid int) (now, most float64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(data)) {
		var into *float64
		switch name, _, _ := strings.Cut(line, ":"); name {
		case "VmRSS":
			into = &now
		case "VmHWM":
			into = &most
		default:
			continue
		}
		kib, err := strconv.ParseFloat(strings.Fields(line)[1], 64)
		if err != nil {
			return 0, 0, err
		}
		*into = kib / 1024
	}
	if now == 0 || most == 0 {
		return 0, 0, fmt.Errorf("/proc/%d/status does not tell the memory", pid)
	}
	return now, most, nil
}
