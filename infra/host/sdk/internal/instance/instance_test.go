//go:build stockhost

package instance

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	encore "encore.dev"
	"encore.dev/internal/registry"
	"encore.dev/shutdown"
)

type orgs struct{ stopped bool }

func TestOneStructIsMadeOnce(t *testing.T) {
	t.Parallel()
	var (
		r    registry.Registry
		made atomic.Int32
	)
	r.AddService(&registry.Service{
		Name: "orgs",
		Init: func() (any, error) {
			made.Add(1)
			if got := encore.CurrentRequest().Service; got != "orgs" {
				t.Errorf("init runs in the scope of %q", got)
			}
			return &orgs{}, nil
		},
		Shutdown: func(svc any, _ shutdown.Progress) error { svc.(*orgs).stopped = true; return errors.New("late") },
	})
	set := NewSet(&r)
	if err := set.Stop("orgs", shutdown.Progress{}); err != nil {
		t.Fatal("a service that was never made must not be stopped")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := set.Get("orgs"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	v, _ := set.Get("orgs")
	if err := set.Stop("orgs", shutdown.Progress{}); made.Load() != 1 || !v.(*orgs).stopped || err == nil {
		t.Fatalf("made %d times, stopped %v (%v)", made.Load(), v.(*orgs).stopped, err)
	}
}

func TestErrorsNameTheService(t *testing.T) {
	t.Parallel()
	var r registry.Registry
	set := NewSet(&r)
	boom := errors.New("boom")
	r.AddService(&registry.Service{Name: "fails", Init: func() (any, error) { return nil, boom }})
	r.AddService(&registry.Service{Name: "panics", Init: func() (any, error) { panic("oh") }})
	r.AddService(&registry.Service{Name: "loops", Init: func() (any, error) { return set.Get("loops") }})
	r.AddService(&registry.Service{Name: "bare"})
	for service, want := range map[string]string{
		"fails": "service fails: boom", "panics": "service panics: panic while it was initialised: oh",
		"loops": "service loops: service loops calls itself", "absent": "there is no service absent",
	} {
		_, err := set.Get(service)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", service, err)
		}
		if again, _ := set.Get(service); again != nil {
			t.Errorf("%s: a struct after all", service)
		}
	}
	if _, err := set.Get("fails"); !errors.Is(err, boom) {
		t.Error("the cause is lost")
	}
	if v, err := set.Get("bare"); v != nil || err != nil {
		t.Errorf("a service without a struct: %v %v", v, err)
	}
}
