//go:build stockhost

package lifecycle

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.dev/shutdown"
)

var roomy = Deadlines{Tasks: time.Minute, Total: time.Minute}

type journal struct {
	mu  sync.Mutex
	got []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.got = append(j.got, s)
}

func (j *journal) part(name string, stage Stage, roles Role) Component {
	return Component{
		Name: name, Stage: stage, Roles: roles,
		Start: func(context.Context) error { j.add("+" + name); return nil },
		Stop:  func(shutdown.Progress) error { j.add("-" + name); return nil },
	}
}

func TestOrderAndRoles(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		roles Role
		want  string
	}{
		{All, "+db +svc +sub +cron +http -http -cron -sub -svc -db"},
		{Web, "+db +svc +http -http -svc -db"},
		{Worker | Scheduler, "+db +svc +sub +cron -cron -sub -svc -db"},
	} {
		var (
			g Group
			j journal
		)
		g.Add(j.part("http", Listener, Web))
		g.Add(j.part("sub", Subscriptions, Worker))
		g.Add(j.part("db", Resources, 0))
		g.Add(j.part("cron", Crons, Scheduler))
		g.Add(j.part("svc", Services, 0))
		if err := g.Start(t.Context(), tc.roles); err != nil {
			t.Fatal(err)
		}
		if g.Roles() != tc.roles {
			t.Errorf("roles %v, want %v", g.Roles(), tc.roles)
		}
		if err := g.Stop(roomy); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(j.got, " "); got != tc.want {
			t.Errorf("roles %v: %s\nwant %s", tc.roles, got, tc.want)
		}
	}
}

func TestFailedStartStopsOnlyWhatRan(t *testing.T) {
	t.Parallel()
	var (
		g Group
		j journal
	)
	boom := errors.New("boom")
	g.Add(j.part("db", Resources, 0))
	g.Add(Component{Name: "orgs", Stage: Services, Start: func(context.Context) error { return boom }})
	g.Add(Component{Name: "audit", Stage: Services, Start: func(context.Context) error { panic("oh") }})
	g.Add(j.part("http", Listener, 0))
	err := g.Start(t.Context(), All)
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), "orgs: boom") || !strings.Contains(err.Error(), "audit: panic: oh") {
		t.Fatalf("both services must be named: %v", err)
	}
	if err := g.Stop(roomy); err != nil {
		t.Fatal(err)
	}
	if want := []string{"+db", "-db"}; !slices.Equal(j.got, want) {
		t.Fatalf("got %v, want %v", j.got, want)
	}
}

func TestContextEndsWithItsStage(t *testing.T) {
	t.Parallel()
	var g Group
	var db, sub context.Context
	g.Add(Component{Name: "db", Stage: Resources, Start: func(ctx context.Context) error { db = ctx; return nil }})
	g.Add(Component{Name: "sub", Stage: Subscriptions,
		Start: func(ctx context.Context) error { sub = ctx; return nil },
		Stop: func(p shutdown.Progress) error {
			if sub.Err() == nil || db.Err() != nil || p.OutstandingRequests.Err() == nil || p.OutstandingTasks.Err() != nil {
				t.Error("while subscriptions stop: theirs has ended, the database's has not, requests are done, tasks are not")
			}
			return nil
		}})
	g.Add(Component{Name: "svc", Stage: Services, Stop: func(p shutdown.Progress) error {
		for _, c := range []context.Context{p.OutstandingPubSubMessages, p.OutstandingTasks, p.ForceCloseTasks} {
			if c.Err() == nil {
				t.Error("services stop after all tasks are done")
			}
		}
		return nil
	}})
	if err := g.Start(t.Context(), All); err != nil {
		t.Fatal(err)
	}
	if err := g.Stop(roomy); err != nil {
		t.Fatal(err)
	}
	if db.Err() == nil {
		t.Error("the database's context must end")
	}
}

func TestStuckTaskDoesNotHoldTheRest(t *testing.T) {
	t.Parallel()
	var (
		g Group
		j journal
	)
	g.Add(j.part("db", Resources, 0))
	g.Add(Component{Name: "http", Stage: Listener, Stop: func(p shutdown.Progress) error {
		<-p.ForceShutdown.Done()
		return nil
	}})
	if err := g.Start(t.Context(), All); err != nil {
		t.Fatal(err)
	}
	err := g.Stop(Deadlines{Tasks: time.Millisecond, Total: 50 * time.Millisecond})
	if want := []string{"+db", "-db"}; !slices.Equal(j.got, want) {
		t.Fatalf("got %v (%v), want %v", j.got, err, want)
	}
}

func TestStopReportsErrorsByName(t *testing.T) {
	t.Parallel()
	var g Group
	g.Add(Component{Name: "db", Stop: func(shutdown.Progress) error { return errors.New("still busy") }})
	if err := g.Start(t.Context(), All); err != nil {
		t.Fatal(err)
	}
	if err := g.Stop(roomy); err == nil || err.Error() != "db: still busy" {
		t.Fatalf("got %v", err)
	}
}

func TestHealthNamesTheSick(t *testing.T) {
	t.Parallel()
	var g Group
	g.Add(Component{Name: "db", Health: func(context.Context) error { return nil }})
	g.Add(Component{Name: "broker", Health: func(context.Context) error { return errors.New("gone") }})
	if err := g.Start(t.Context(), All); err != nil {
		t.Fatal(err)
	}
	if bad := g.Health(t.Context()); len(bad) != 1 || bad["broker"] == nil {
		t.Fatalf("got %v", bad)
	}
}
