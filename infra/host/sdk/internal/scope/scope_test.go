//go:build stockhost

package scope

import (
	"context"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
)

func TestScopeTravelsOnContextAndGoroutine(t *testing.T) {
	t.Parallel()
	s := &Scope{Service: "orgs", Endpoint: "Get"}
	Run(t.Context(), s, func(ctx context.Context) {
		if From(ctx) != s || Current() != s || Either(context.Background()) != s {
			t.Fatal("the scope is not seen inside Run")
		}
	})
	if Current() != nil || From(t.Context()) != nil {
		t.Fatal("the scope outlived Run on its own goroutine")
	}
}

func TestChildGoroutinesInherit(t *testing.T) {
	t.Parallel()
	s := &Scope{Service: "orgs"}
	release, seen := make(chan struct{}), make(chan *Scope, 2)
	var wg sync.WaitGroup
	Run(t.Context(), s, func(context.Context) {
		wg.Go(func() {
			seen <- Current()
			<-release // the request is over; the goroutine still knows it
			runtime.GC()
			seen <- Current()
		})
	})
	close(release)
	wg.Wait()
	for range 2 {
		if got := <-seen; got != s || got.Service != "orgs" {
			t.Fatalf("child goroutine saw %p, want %p", got, s)
		}
	}
}

func TestNestedScopesRestore(t *testing.T) {
	t.Parallel()
	outer, inner := &Scope{Service: "a"}, &Scope{Service: "b"}
	Run(t.Context(), outer, func(ctx context.Context) {
		// A call made with a bare context must not lose the caller's scope afterwards.
		Run(context.Background(), inner, func(context.Context) {
			if Current() != inner {
				t.Error("inner scope not current")
			}
		})
		if Current() != outer || From(ctx) != outer {
			t.Error("outer scope not restored")
		}
	})
}

func TestPanicRestores(t *testing.T) {
	t.Parallel()
	func() {
		defer func() { _ = recover() }()
		Run(t.Context(), &Scope{}, func(context.Context) { panic("x") })
	}()
	if Current() != nil {
		t.Fatal("a panic left its scope on the goroutine")
	}
}

func TestAppLabelsDoNotHideTheScope(t *testing.T) {
	t.Parallel()
	s := &Scope{Service: "orgs"}
	Run(t.Context(), s, func(ctx context.Context) {
		pprof.Do(ctx, pprof.Labels("a", "1", "z", "2"), func(ctx context.Context) {
			if Current() != s || From(ctx) != s {
				t.Error("scope lost under pprof.Do")
			}
		})
		if Current() != s {
			t.Error("scope lost after pprof.Do")
		}
	})
}

func TestProfileShowsTheEndpoint(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ service, endpoint, want string }{
		{"orgs", "Get", "orgs.Get"},
		{"orgs", "", "orgs"},
		{"", "", "-"},
		{strings.Repeat("s", 40), strings.Repeat("e", 40), strings.Repeat("s", 40) + "." + strings.Repeat("e", 6)},
	} {
		Run(t.Context(), &Scope{Service: tc.service, Endpoint: tc.endpoint}, func(ctx context.Context) {
			if got, _ := pprof.Label(ctx, labelKey); got != tc.want {
				t.Errorf("label %q, want %q", got, tc.want)
			}
		})
	}
}

func TestLateCallerAndRequest(t *testing.T) {
	t.Parallel()
	s := &Scope{UID: "early", Req: 1}
	if s.Caller().UID != "early" || s.Request() != 1 {
		t.Fatal("the first values are not seen")
	}
	var later any = 2
	s.SetCaller(&Caller{UID: "late"})
	s.SetRequest(&later)
	if s.Caller().UID != "late" || s.Request() != 2 {
		t.Fatal("the later values are not seen")
	}
}

func TestCallerOverride(t *testing.T) {
	t.Parallel()
	ctx := WithCaller(t.Context(), Caller{UID: "u"})
	if c, ok := OverriddenCaller(ctx); !ok || c.UID != "u" {
		t.Fatalf("got %v %v", c, ok)
	}
	if _, ok := OverriddenCaller(WithoutCaller(ctx)); ok {
		t.Fatal("the override reached the callee")
	}
}

func BenchmarkEnterReadLeave(b *testing.B) {
	b.ReportAllocs()
	ctx := context.Background()
	for b.Loop() {
		s := &Scope{Service: "orgs", Endpoint: "Get"}
		_, mark := Enter(ctx, s)
		if Current() != s {
			b.Fatal("not current")
		}
		mark.Leave()
	}
}
