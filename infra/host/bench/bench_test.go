package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

const wrkSays = `Running 5s test @ http://127.0.0.1:4000/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.53ms    1.72ms  32.83ms   92.71%
    Req/Sec    23.75k     2.52k   28.95k    68.00%
  Latency Distribution
     50%    1.13ms
     75%    1.99ms
     90%    2.90ms
     99%  990.00us
  118149 requests in 5.10s, 136.51MB read
`

func TestReadWrk(t *testing.T) {
	t.Parallel()
	r, err := readWrk(wrkSays + "Requests/sec:  23630.10\n")
	want := result{requests: 118149, took: 5100 * time.Millisecond, p50: 1130 * time.Microsecond, p99: 990 * time.Microsecond}
	if err != nil || r != want {
		t.Errorf("got %+v, %v", r, err)
	}
	for _, wrong := range []string{
		"  Non-2xx or 3xx responses: 3\n",
		"  Socket errors: connect 0, read 2, write 0, timeout 0\n",
	} {
		if _, err := readWrk(wrkSays + wrong); err == nil || err.Error() != strings.TrimSpace(wrong) {
			t.Errorf("%q: got %v", wrong, err)
		}
	}
	if _, err := readWrk("unable to connect"); err == nil {
		t.Error("no figures were read as figures")
	}
	if _, err := readWrk(strings.ReplaceAll(wrkSays, "99%", "98%")); err == nil {
		t.Error("a missing p99 was not noticed")
	}
}

// serve answers the token "good" only, after a pause.
func serve(t *testing.T, pause time.Duration) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" || r.URL.Path != "/api/v1/me" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		<-time.After(pause)
		_, _ = io.WriteString(w, strings.Repeat("x", 5000)) // chunked
	}))
	t.Cleanup(s.Close)
	return s
}

func TestRunOwn(t *testing.T) {
	t.Parallel()
	const pause = 5 * time.Millisecond
	s := serve(t, pause)
	l := load{connections: 4, time: 100 * time.Millisecond}
	r, err := runOwn(t.Context(), l, s.URL+"/api/v1/me", "good")
	if err != nil || r.requests < l.connections || r.took < l.time || r.p50 < pause || r.p99 < r.p50 {
		t.Errorf("got %+v, %v", r, err)
	}
	if most := l.connections * int(r.took/pause); r.requests > most {
		t.Errorf("%d requests cannot be answered in %v", r.requests, r.took)
	}
	if _, err := runOwn(t.Context(), l, s.URL+"/api/v1/me", "bad"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a refusal was counted: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runOwn(ctx, l, s.URL+"/api/v1/me", "good"); err == nil {
		t.Error("went on after it was told to stop")
	}
}

func TestMeasureApp(t *testing.T) {
	t.Parallel()
	l := load{connections: 2, time: 20 * time.Millisecond}
	full := map[string]string{"APP_BASE_URL": serve(t, 0).URL + "/", "APP_PID": strconv.Itoa(os.Getpid()), "APP_TOKEN": "good"}
	for name, tc := range map[string]struct {
		change map[string]string
		wrong  string
	}{
		"all":       {},
		"none":      {change: map[string]string{"APP_BASE_URL": "", "APP_PID": "", "APP_TOKEN": ""}},
		"no pid":    {change: map[string]string{"APP_PID": ""}, wrong: "together"},
		"no token":  {change: map[string]string{"APP_TOKEN": ""}, wrong: "together"},
		"bad token": {change: map[string]string{"APP_TOKEN": "bad"}, wrong: "401"},
		"no such":   {change: map[string]string{"APP_PID": "0"}, wrong: "/proc/0/status"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := measureApp(t.Context(), l, func(name string) string {
				if v, ok := tc.change[name]; ok {
					return v
				}
				return full[name]
			})
			if (err == nil) != (tc.wrong == "") || (err != nil && !strings.Contains(err.Error(), tc.wrong)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestProc(t *testing.T) {
	t.Parallel()
	now, most, err := memory(os.Getpid())
	if err != nil || now < 1 || most < now {
		t.Errorf("memory: %v, %v, %v", now, most, err)
	}
	before, err := cpu(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for started := time.Now(); time.Since(started) < 10*time.Second; {
		if after, err := cpu(os.Getpid()); err != nil || after > before {
			return
		}
	}
	t.Error("no processor time passed while it was spent")
}

func TestRatios(t *testing.T) {
	t.Parallel()
	made := func(requests int, p99 time.Duration) sample {
		return sample{result: result{requests: requests, took: time.Second, p50: 1, p99: p99}, cpu: time.Second}
	}
	rounds := []round{
		{made(50, 4), made(100, 2)},
		{made(80, 3), made(100, 2)},
		{made(300, 2), made(100, 2)},
		{made(90, 2), made(100, 2)},
	}
	if got := median(rounds, round.throughput); got < 0.849 || got > 0.851 {
		t.Errorf("throughput %v", got)
	}
	if got := median(rounds[:3], round.p99); got != 1.5 {
		t.Errorf("p99 %v", got)
	}
	if got := rounds[0].cpu(); got != 2 {
		t.Errorf("CPU %v", got)
	}

	self := &process{name: "test", cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
	if err := report(rounds, self, self); err != nil {
		t.Errorf("what holds is refused: %v", err)
	}
	slow := []round{{made(69, 5), made(100, 2)}}
	if err := report(slow, self, self); err == nil || !strings.Contains(err.Error(), "throughput ratio is 0.69") || !strings.Contains(err.Error(), "p99 ratio is 2.50") {
		t.Errorf("got %v", err)
	}
}
