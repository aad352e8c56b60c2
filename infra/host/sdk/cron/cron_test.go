//go:build stockhost

package cron

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"encore.dev"
	"encore.dev/internal/registry"
)

// Sweep stands for an endpoint; what is registered for it is what must run.
func Sweep(context.Context) error { return errors.New("the function itself was called") }

var calls atomic.Int32

func init() {
	r := registry.Process()
	r.AddService(&registry.Service{Name: "sweeper", Package: "encore.dev/cron"})
	r.AddEndpoint(&registry.Endpoint{
		Service: "sweeper", Name: "Sweep", Methods: []string{"POST"}, Path: "/sweeper.Sweep",
		Call: func(context.Context, []any, any) (any, error) { calls.Add(1); return nil, nil },
	})
}

// An endpoint of the app runs as in a call, which is where its middleware is.
func TestRegisteredEndpointIsCalled(t *testing.T) {
	t.Parallel()
	before := calls.Load()
	plan, err := (&Job{ID: "sweep", Every: Hour, Endpoint: Sweep}).plan()
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Run(t.Context(), tick()); err != nil || calls.Load() != before+1 {
		t.Fatalf("%v, %d calls", err, calls.Load()-before)
	}
}

func tick() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func TestRunSeesItsTick(t *testing.T) {
	t.Parallel()
	var key string
	failed := errors.New("failed")
	for name, endpoint := range map[string]any{
		"one result": func(context.Context) error { key = encore.CurrentRequest().CronIdempotencyKey; return failed },
		"two results": func(context.Context) (*int, error) {
			key = encore.CurrentRequest().CronIdempotencyKey
			return nil, failed
		},
	} {
		key = ""
		plan, err := (&Job{ID: "sweep", Every: Hour, Endpoint: endpoint}).plan()
		if err != nil {
			t.Fatal(name, err)
		}
		if err := plan.Run(t.Context(), tick()); !errors.Is(err, failed) || key != "sweep/2026-03-01T12:00:00Z" {
			t.Errorf("%s: %v, key %q", name, err, key)
		}
		if next := plan.Schedule.Next(tick()); !next.Equal(tick().Add(time.Hour)) {
			t.Errorf("%s: next %s", name, next)
		}
	}
}

func TestBadJobsStopTheStart(t *testing.T) {
	t.Parallel()
	fine := func(context.Context) error { return nil }
	for name, tc := range map[string]struct {
		jobs []*Job
		want string
	}{
		"neither":      {[]*Job{{ID: "a", Endpoint: fine}}, "one of Every and Schedule"},
		"both":         {[]*Job{{ID: "a", Endpoint: fine, Every: Hour, Schedule: "* * * * *"}}, "one of Every and Schedule"},
		"interval":     {[]*Job{{ID: "a", Endpoint: fine, Every: 7 * Minute}}, "divide 24 hours"},
		"schedule":     {[]*Job{{ID: "a", Endpoint: fine, Schedule: "nonsense"}}, `schedule "nonsense"`},
		"no function":  {[]*Job{{ID: "a", Endpoint: "Sweep", Every: Hour}}, "no function"},
		"parameters":   {[]*Job{{ID: "a", Endpoint: func(context.Context, string) error { return nil }, Every: Hour}}, "it must be a func(context.Context) error"},
		"no error":     {[]*Job{{ID: "a", Endpoint: func(context.Context) int { return 0 }, Every: Hour}}, "it must be a func(context.Context) error"},
		"declared two": {[]*Job{{ID: "a", Endpoint: fine, Every: Hour}, {ID: "a", Endpoint: fine, Every: Hour}}, "declared twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := (&jobs{list: tc.jobs}).plan()
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), `cron job "a"`) {
				t.Fatalf("err = %v, want %q", err, tc.want)
			}
		})
	}
}
