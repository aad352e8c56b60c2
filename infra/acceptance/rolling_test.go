//go:build acceptance && local

package acceptance

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// drainDelay must outlast the router's next look at a process's health.
const drainDelay = 3 * time.Second

// router spreads requests over the processes that say they are healthy. It tries none twice, so that
// every request that a restart costs is seen.
type router struct {
	mu   sync.Mutex
	all  map[string]bool // base URL → healthy
	next atomic.Uint64
}

func (r *router) add(base string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[base] = true
}

func (r *router) remove(base string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, base)
}

func (r *router) healthy() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var bases []string
	for base, ok := range r.all {
		if ok {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	return bases
}

// watch asks every process for its health until ctx ends.
func (r *router) watch(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.mu.Lock()
		bases := make([]string, 0, len(r.all))
		for base := range r.all {
			bases = append(bases, base)
		}
		r.mu.Unlock()
		for _, base := range bases {
			resp, err := client.Get(base + "/__encore/healthz")
			if err == nil {
				resp.Body.Close()
			}
			r.mu.Lock()
			if _, known := r.all[base]; known {
				r.all[base] = err == nil && resp.StatusCode == http.StatusOK
			}
			r.mu.Unlock()
		}
	}
}

func (r *router) handler() http.Handler {
	return &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		if bases := r.healthy(); len(bases) > 0 {
			to, _ := url.Parse(bases[r.next.Add(1)%uint64(len(bases))])
			p.SetURL(to)
		}
	}}
}

// Every process is replaced under load, one after the other: no request fails, no event is lost, and the
// organisation's own system hears of each.
func TestARollingRestartFailsNoRequestAndLosesNoJob(t *testing.T) {
	database := scratch(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	launch := func(roles string, seeded bool) *app {
		t.Helper()
		within, done := context.WithTimeout(ctx, time.Minute)
		defer done()
		a, err := startApp(within, appConfig{
			database: database, seed: seeded, roles: roles, unset: []string{"RABBITMQ_URL"},
			env: []string{"HOST_DRAIN_DELAY=" + drainDelay.String(), "SINKS_ALLOW_PRIVATE=true"},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.kill)
		return a
	}
	route := &router{all: map[string]bool{}}
	webs := []*app{launch("web", true), launch("web", false)}
	workers := []*app{launch("worker,scheduler", false), launch("worker,scheduler", false)}
	for _, w := range webs {
		route.add(w.base)
	}
	go route.watch(ctx)
	front := httptest.NewServer(route.handler())
	t.Cleanup(front.Close)
	whole := &app{base: front.URL}

	var mu sync.Mutex
	heard := map[string]bool{} // projects that the sink was told of
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e struct{ Data auditEvent }
		if body, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(body, &e) != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		heard[e.Data.Resource.ID] = true
	}))
	t.Cleanup(receiver.Close)
	want[auditSink](t, at(whole, t, adaOrg, "POST", sinksPath, map[string]any{"url": receiver.URL, "events": []string{"project.create"}}), http.StatusCreated)

	var failed atomic.Int64
	var made []string
	reads, cancelLoad := 0, make(chan struct{})
	var clients sync.WaitGroup
	bob := bobApp.token(t)
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-cancelLoad:
					return
				default:
				}
				var p project
				status := send(whole, bob, "POST", acmeProjects, `{"title":"`+unique("roll")+`","sensitivity":"internal","pii":false}`, &p)
				if status != http.StatusCreated {
					failed.Add(1)
					t.Errorf("a write got %d", status)
					continue
				}
				if status := send(whole, bob, "GET", acmeProjects+"/"+p.ID, "", &p); status != http.StatusOK {
					failed.Add(1)
					t.Errorf("a read got %d", status)
				}
				mu.Lock()
				made, reads = append(made, p.ID), reads+1
				mu.Unlock()
			}
		})
	}
	replace := func(old *app, roles string, routed bool) {
		t.Helper()
		fresh := launch(roles, false)
		if routed {
			route.add(fresh.base)
		}
		old.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-old.done:
		case <-time.After(time.Minute):
			t.Fatal("a process that was told to stop did not")
		}
		route.remove(old.base)
		if code := old.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("a %s process ended with %d", roles, code)
		}
	}
	for _, w := range webs {
		replace(w, "web", true)
	}
	for _, w := range workers {
		replace(w, "worker,scheduler", false)
	}
	close(cancelLoad)
	clients.Wait()

	if len(made) == 0 {
		t.Fatal("no request was answered: this proved nothing")
	}
	eventually(t, time.Minute, "every project has its event", func() bool { return len(createEvents(whole, t)) >= len(made) })
	events := createEvents(whole, t)
	for _, id := range made {
		if events[id] != 1 {
			t.Errorf("project %s has %d events", id, events[id])
		}
	}
	eventually(t, time.Minute, "the sink was told of every project", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !slices.ContainsFunc(made, func(id string) bool { return !heard[id] })
	})
	t.Logf("four processes replaced: %d writes and %d reads, %d failed; %d events, all at the sink", len(made), reads, failed.Load(), len(events))
}

// send makes a request and gives its status; 0 is none.
func send(a *app, bearer, method, path, body string, into any) int {
	req, err := http.NewRequest(method, a.base+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return 0
	}
	return resp.StatusCode
}
