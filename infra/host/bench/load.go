package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// result is what a load generator saw.
type result struct {
	requests int
	took     time.Duration
	p50, p99 time.Duration
}

func (r result) perSecond() float64 { return float64(r.requests) / r.took.Seconds() }

// load asks for one URL over and over.
type load struct {
	connections int
	time        time.Duration
}

// generator is wrk, or without it the client below.
func generator() (name string, run func(ctx context.Context, l load, address, token string) (result, error)) {
	if _, err := exec.LookPath("wrk"); err != nil {
		return "own client (wrk is not installed: apt-get install wrk)", runOwn
	}
	return "wrk, 1 thread", runWrk
}

func runWrk(ctx context.Context, l load, address, token string) (result, error) {
	cmd := exec.CommandContext(ctx, "wrk", "--latency", "-t1", fmt.Sprintf("-c%d", l.connections),
		fmt.Sprintf("-d%.0fs", l.time.Seconds()), "-H", "Authorization: Bearer "+token, address)
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return readWrk(string(out))
}

var (
	wrkTotal  = regexp.MustCompile(`(\d+) requests in (\S+),`)
	wrkFailed = regexp.MustCompile(`(?m)^\s*(Non-2xx or 3xx responses|Socket errors):.*$`)
)

func readWrk(out string) (r result, err error) {
	if failed := wrkFailed.FindString(out); failed != "" {
		return r, errors.New(strings.TrimSpace(failed))
	}
	total := wrkTotal.FindStringSubmatch(out)
	if total == nil {
		return r, fmt.Errorf("wrk says something else:\n%s", out)
	}
	if r.requests, err = strconv.Atoi(total[1]); err != nil {
		return r, err
	}
	for name, into := range map[string]*time.Duration{"50%": &r.p50, "99%": &r.p99} {
		found := regexp.MustCompile(`(?m)^\s*` + name + `\s+(\S+)$`).FindStringSubmatch(out)
		if found == nil {
			return r, fmt.Errorf("wrk tells no %s:\n%s", name, out)
		}
		if *into, err = time.ParseDuration(found[1]); err != nil {
			return r, err
		}
	}
	r.took, err = time.ParseDuration(total[2])
	return r, err
}

// runOwn is one goroutine for each connection, each with the next request once it has its answer.
func runOwn(ctx context.Context, l load, address, token string) (result, error) {
	u, err := url.Parse(address)
	if err != nil {
		return result{}, err
	}
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", u.RequestURI(), u.Host, token)
	started := time.Now()
	until := started.Add(l.time)
	all := make([][]time.Duration, l.connections)
	wrong := make([]error, l.connections)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i], wrong[i] = ask(ctx, u.Host, request, until) })
	}
	wg.Wait()
	if err := errors.Join(wrong...); err != nil {
		return result{}, err
	}
	r := result{took: time.Since(started)}
	latencies := slices.Concat(all...)
	slices.Sort(latencies)
	r.requests = len(latencies)
	if r.requests == 0 {
		return r, errors.New("nothing was answered")
	}
	r.p50, r.p99 = latencies[r.requests/2], latencies[r.requests*99/100]
	return r, nil
}

// ask sends the request over one connection until it is late enough.
func ask(ctx context.Context, host string, request []byte, until time.Time) (latencies []time.Duration, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(until.Add(10 * time.Second)); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	for now := time.Now(); now.Before(until) && ctx.Err() == nil; {
		if _, err := conn.Write(request); err != nil {
			return nil, err
		}
		if err := skipAnswer(r); err != nil {
			return nil, err
		}
		done := time.Now()
		latencies = append(latencies, done.Sub(now))
		now = done
	}
	return latencies, ctx.Err()
}

// skipAnswer reads one answer without keeping anything of it.
func skipAnswer(r *bufio.Reader) error {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
