package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// connections carry the load; a request that finds all of them busy waits, and its wait counts.
const connections = 64

// result is what one rate did to one server.
type result struct {
	p50, p99 time.Duration
	cpu      float64 // seconds of processor for 1 000 requests
}

// measure sends rate requests a second for a while, each at its time whether or not the ones before
// it are answered.
func (s *server) measure(ctx context.Context, rate int, period time.Duration) (result, error) {
	due := make(chan time.Time, rate)
	var all sync.WaitGroup
	latencies := make([][]time.Duration, connections)
	failed := make(chan error, connections)
	before, err := s.cpu()
	if err != nil {
		return result{}, err
	}
	for i := range connections {
		all.Go(func() {
			var err error
			if latencies[i], err = s.ask(due); err != nil {
				failed <- err
				for range due { // the schedule goes on without it
				}
			}
		})
	}
	total := int(period.Seconds() * float64(rate))
	began := time.Now()
	for n := range total {
		at := began.Add(time.Duration(n) * time.Second / time.Duration(rate))
		if wait := time.Until(at); wait > 0 {
			time.Sleep(wait)
		}
		select {
		case due <- at:
		case <-ctx.Done():
			close(due)
			return result{}, ctx.Err()
		}
	}
	close(due)
	all.Wait()
	select {
	case err := <-failed:
		return result{}, err
	default:
	}
	after, err := s.cpu()
	if err != nil {
		return result{}, err
	}
	sorted := slices.Concat(latencies...)
	slices.Sort(sorted)
	return result{p50: sorted[total/2], p99: sorted[total*99/100], cpu: (after - before) / float64(total) * 1000}, nil
}

// ask sends a request for each time that it is given, over one connection.
func (s *server) ask(due <-chan time.Time) (latencies []time.Duration, err error) {
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", s.path, s.address, s.token)
	r := bufio.NewReader(conn)
	for at := range due {
		if _, err := conn.Write(request); err != nil {
			return nil, err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %s", resp.Status, body)
		}
		latencies = append(latencies, time.Since(at))
	}
	return latencies, nil
}
