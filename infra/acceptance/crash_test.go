//go:build acceptance && local

package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// scratch makes a database of this test's own beside the one of the run.
func scratch(t *testing.T) string {
	t.Helper()
	base := must("DATABASE_URL")
	name := strings.ReplaceAll(unique("crash"), "-", "_")
	execSQL(t, base, "create database "+name)
	t.Cleanup(func() { execSQL(t, base, "drop database "+name+" with (force)") })
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func execSQL(t *testing.T, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// start runs the app with the broker in its own process, so that what the broker held dies with it.
func start(t *testing.T, database, roles string) *app {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := startApp(ctx, appConfig{database: database, seed: true, roles: roles, unset: []string{"RABBITMQ_URL"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	return a
}

func at(a *app, t *testing.T, c caller, method, path string, body any, edit ...func(*http.Request)) reply {
	t.Helper()
	return call(t, c.token(t), method, path, body, append(edit, func(r *http.Request) {
		u, err := url.Parse(a.base + path)
		if err != nil {
			t.Fatal(err)
		}
		r.URL, r.Host = u, u.Host
	})...)
}

func eventsOf(a *app, t *testing.T, projectID string) int {
	t.Helper()
	r := at(a, t, adaOrg, "GET", "/api/v1/org/"+acme+"/audit/events?action=create&resource="+projectID, nil)
	return len(want[list[auditEvent]](t, r, http.StatusOK).Items)
}

// A process that only serves commits the change and publishes nothing: killed there, it is dead
// between commit and publish.
func TestAKillBetweenCommitAndPublishLosesNoAuditEvent(t *testing.T) {
	database := scratch(t)
	web := start(t, database, "web")
	body := map[string]any{"title": "survivor", "sensitivity": "internal", "pii": false}
	p := want[project](t, at(web, t, bobApp, "POST", "/api/v1/app/orgs/"+acme+"/projects", body), http.StatusCreated)
	if n := eventsOf(web, t, p.ID); n != 0 {
		t.Fatalf("%d events before anything was published", n)
	}
	web.kill()
	whole := start(t, database, "")
	eventually(t, 30*time.Second, "the event is in the log", func() bool { return eventsOf(whole, t, p.ID) == 1 })
}

// Writers create projects while the app is killed again and again. Whatever was answered with 201 is
// there, and every project that is there has exactly one event.
func TestKillsUnderLoadLoseNoAuditEvent(t *testing.T) {
	database := scratch(t)
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	for round := range 4 {
		a := start(t, database, "")
		ctx, cancel := context.WithCancel(context.Background())
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					if id := tryCreate(a, t, fmt.Sprintf("r%d-w%d-%d", round, w, n)); id != "" {
						mu.Lock()
						acknowledged[id] = true
						mu.Unlock()
					}
				}
			})
		}
		<-time.After(300*time.Millisecond + rand.N(400*time.Millisecond))
		a.kill()
		cancel()
		writers.Wait()
	}
	a := start(t, database, "")
	kept := map[string]bool{}
	for cursor := ""; ; {
		r := at(a, t, bobApp, "GET", "/api/v1/app/orgs/"+acme+"/projects?limit=200&cursor="+cursor, nil)
		page := want[list[project]](t, r, http.StatusOK)
		for _, p := range page.Items {
			kept[p.ID] = true
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	for id := range acknowledged {
		if !kept[id] {
			t.Errorf("project %s was acknowledged and is gone", id)
		}
	}
	if len(acknowledged) == 0 {
		t.Fatal("no project was ever created: this proved nothing")
	}
	events := func() map[string]int { return createEvents(a, t) }
	eventually(t, 60*time.Second, "every project has its event", func() bool { return len(events()) >= len(kept) })
	for id, n := range events() {
		if !kept[id] || n != 1 {
			t.Errorf("project %s: there %v, %d events", id, kept[id], n)
		}
	}
	t.Logf("%d projects acknowledged, %d kept, %d with exactly one event, over 4 kills", len(acknowledged), len(kept), len(events()))
}

func createEvents(a *app, t *testing.T) map[string]int {
	t.Helper()
	found := map[string]int{}
	for cursor := ""; ; {
		r := at(a, t, adaOrg, "GET", "/api/v1/org/"+acme+"/audit/events?action=create&resource=project&limit=200&cursor="+cursor, nil)
		page := want[list[auditEvent]](t, r, http.StatusOK)
		for _, e := range page.Items {
			found[e.Resource.ID]++
		}
		if cursor = page.NextCursor; cursor == "" {
			return found
		}
	}
}

// tryCreate is "" when the app died on the way.
func tryCreate(a *app, t *testing.T, title string) string {
	req, err := http.NewRequest("POST", a.base+"/api/v1/app/orgs/"+acme+"/projects",
		strings.NewReader(`{"title":"`+title+`","sensitivity":"internal","pii":false}`))
	if err != nil {
		t.Error(err)
		return ""
	}
	req.Header.Set("Authorization", "Bearer "+bobApp.token(t))
	resp, err := client.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var p project
	if resp.StatusCode != http.StatusCreated || json.NewDecoder(resp.Body).Decode(&p) != nil {
		return ""
	}
	return p.ID
}

// Serving and working may be different processes: what the one leaves in the outbox the other takes.
func TestAWorkerTakesWhatAWebProcessLeaves(t *testing.T) {
	database := scratch(t)
	web := start(t, database, "web")
	body := map[string]any{"title": "left", "sensitivity": "internal", "pii": false}
	p := want[project](t, at(web, t, bobApp, "POST", "/api/v1/app/orgs/"+acme+"/projects", body), http.StatusCreated)
	worker := start(t, database, "worker,scheduler")
	if r := at(worker, t, bobApp, "GET", "/api/v1/me", nil); r.status != http.StatusNotFound {
		t.Errorf("a process without the web role served an endpoint: %d", r.status)
	}
	eventually(t, 30*time.Second, "the event is in the log", func() bool { return eventsOf(web, t, p.ID) == 1 })
}
