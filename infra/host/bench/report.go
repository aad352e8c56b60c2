package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// method prints how and on what the figures come about.
func method(o options) {
	name, _ := generator()
	fmt.Printf("authenticated read of 1 KiB of JSON, no SQL: host against bare net/http, interleaved\n")
	fmt.Printf("%d rounds of %v each after %v of warm-up, %d connections, %s\n", o.rounds, o.time, warmUp, o.connections, name)
	fmt.Printf("%s, %s/%s, %d cores, GOMAXPROCS %d for both, load %s before\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.GOMAXPROCS(0), loadAverage())
	fmt.Printf("      |        requests/s         |          p50          |             p99             |        CPU per 1000\n")
	fmt.Printf("round |    host     bare   ratio  |    host       bare    |    host       bare   ratio  |    host       bare   ratio\n")
}

// loadAverage is how many wanted the processor in the last minute.
func loadAverage() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(data), " ")
	return first
}

func (r round) throughput() float64 { return r.hosted.perSecond() / r.bare.perSecond() }
func (r round) p50() float64        { return float64(r.hosted.p50) / float64(r.bare.p50) }
func (r round) p99() float64        { return float64(r.hosted.p99) / float64(r.bare.p99) }
func (r round) cpu() float64 {
	return float64(r.hosted.cpuPerThousand()) / float64(r.bare.cpuPerThousand())
}

func (r round) print(n int) {
	h, b := r.hosted, r.bare
	fmt.Printf("%5d | %7.0f  %7.0f  %6.2f  | %8s  %8s    | %8s  %8s  %6.2f  | %8s  %8s  %6.2f\n", n,
		h.perSecond(), b.perSecond(), r.throughput(),
		brief(h.p50), brief(b.p50), brief(h.p99), brief(b.p99), r.p99(),
		brief(h.cpuPerThousand()), brief(b.cpuPerThousand()), r.cpu())
}

func brief(d time.Duration) string { return strconv.FormatFloat(d.Seconds()*1000, 'f', 2, 64) + "ms" }

// report prints the result and says what does not hold.
func report(rounds []round, hosted, bare *process) error {
	throughput, p50, p99 := median(rounds, round.throughput), median(rounds, round.p50), median(rounds, round.p99)
	fmt.Printf("\nmedian over the rounds, host to bare (load %s after):\n", loadAverage())
	var wrong []error
	line := func(what string, got float64, holds bool, rule string) {
		says := "ok"
		if !holds {
			says = "MISSED"
			wrong = append(wrong, fmt.Errorf("%s is %.2f; it must be %s", what, got, rule))
		}
		fmt.Printf("  %-22s %7.2f   %s: %s\n", what, got, rule, says)
	}
	line("throughput ratio", throughput, throughput >= leastThroughput, fmt.Sprintf("at least %.1f", leastThroughput))
	line("p99 ratio", p99, p99 <= mostP99, fmt.Sprintf("at most %.0f", mostP99))
	fmt.Printf("  %-22s %7.2f\n", "p50 ratio", p50)
	fmt.Printf("  %-22s %7.2f\n", "CPU per request ratio", median(rounds, round.cpu))
	for _, p := range []*process{hosted, bare} {
		now, most, err := memory(p.cmd.Process.Pid)
		if err != nil {
			return err
		}
		what := "resident MiB of " + p.name
		if p == hosted {
			line(what, now, now < mostMemory, fmt.Sprintf("less than %.0f", mostMemory))
		} else {
			fmt.Printf("  %-22s %7.2f\n", what, now)
		}
		fmt.Printf("  %-22s %7.2f\n", "  at most", most)
	}
	return errors.Join(wrong...)
}

func median(rounds []round, of func(round) float64) float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = of(r)
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// measureApp tells the memory of a running app after some reads, if the environment names one.
func measureApp(ctx context.Context, l load, getenv func(string) string) error {
	base, id, token := getenv("APP_BASE_URL"), getenv("APP_PID"), getenv("APP_TOKEN")
	if base == "" && id == "" && token == "" {
		return nil
	}
	pid, err := strconv.Atoi(id)
	if err != nil || base == "" || token == "" {
		return errors.New("APP_BASE_URL, APP_PID and APP_TOKEN are needed together")
	}
	// Not wrk: every process of the machine can read its arguments, and so the token.
	r, err := runOwn(ctx, l, strings.TrimSuffix(base, "/")+"/api/v1/me", token)
	if err != nil {
		return fmt.Errorf("the app: %w", err)
	}
	now, most, err := memory(pid)
	if err != nil {
		return err
	}
	fmt.Printf("\napp: GET /api/v1/me for %v: %.0f requests/s, p50 %s, p99 %s\n", l.time, r.perSecond(), brief(r.p50), brief(r.p99))
	fmt.Printf("  %-22s %7.1f MiB, at most %.1f MiB\n", "resident", now, most)
	if now >= mostMemory {
		return fmt.Errorf("the app holds %.1f MiB; it must be less than %.0f", now, mostMemory)
	}
	return nil
}
