//go:build acceptance && local

package acceptance

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// limited runs the app with limits that a test can reach.
func limited(t *testing.T, env ...string) *app {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := startApp(ctx, appConfig{database: must("DATABASE_URL"), env: env, unset: []string{"RABBITMQ_URL", "REDIS_URL"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	return a
}

func TestLimitsAreToldAndHeld(t *testing.T) {
	t.Parallel()
	a := limited(t, "RATE_LIMITS=caller=6,enterprise=4")
	path := "/api/v1/app/orgs/" + acme + "/projects"
	for i := range 4 {
		r := at(a, t, adaApp, "GET", path, nil)
		want[list[project]](t, r, http.StatusOK)
		if got := r.header.Get("RateLimit-Policy"); got != `"caller";q=6;w=60, "org";q=4;w=60` {
			t.Errorf("policy %s", got)
		}
		if got := r.header.Get("RateLimit"); !strings.HasPrefix(got, `"caller";r=`+strconv.Itoa(5-i)+";t=") || !strings.Contains(got, `"org";r=`+strconv.Itoa(3-i)+";t=") {
			t.Errorf("call %d: %s", i, got)
		}
	}
	refusedForNow(t, at(a, t, graceApp, "GET", path, nil)) // the organisation's, whoever calls
	me := at(a, t, adaApp, "GET", "/api/v1/me", nil)
	if me.status != http.StatusOK {
		t.Errorf("outside the organisation: %d %s", me.status, me.body)
	}
	at(a, t, adaApp, "GET", "/api/v1/me", nil)
	refusedForNow(t, at(a, t, adaApp, "GET", "/api/v1/me", nil))

	for range 6 {
		want[struct{}](t, at(a, t, root, "GET", "/api/v1/admin/overview", nil), http.StatusOK)
	}
	refusedForNow(t, at(a, t, root, "GET", "/api/v1/admin/overview", nil))
	for path, who := range map[string]caller{"/admin/audit/export?format=ndjson": root, "/org/" + acme + "/audit/export?format=ndjson": adaOrg, "/org/" + acme + "/export": adaOrg} {
		r := at(a, t, who, "GET", "/api/v1"+path, nil)
		after, err := strconv.Atoi(r.header.Get("Retry-After"))
		if f := want[failure](t, r, http.StatusTooManyRequests); f.reason() != "rate_limited" || err != nil || after < 1 || after > 60 {
			t.Errorf("%s: %+v, %v", path, f, r.header)
		}
	}
	if probe := at(a, t, root, "GET", "/healthz", nil); probe.status != http.StatusOK || probe.header.Get("RateLimit") != "" {
		t.Errorf("a probe: %d %v", probe.status, probe.header)
	}
}

func refusedForNow(t *testing.T, r reply) {
	t.Helper()
	f := want[failure](t, r, http.StatusTooManyRequests)
	after, err := strconv.Atoi(r.header.Get("Retry-After"))
	if f.reason() != "rate_limited" || err != nil || after < 1 || after > 60 {
		t.Errorf("got %s, %v", r.body, r.header)
	}
	items := regexp.MustCompile(`"[a-z]+";r=0;t=([0-9]+)`).FindAllStringSubmatch(r.header.Get("RateLimit"), -1)
	for _, item := range items {
		if at, _ := strconv.Atoi(item[1]); at > after {
			t.Errorf("come back after %d s, before the policy has anything: %s", after, r.header.Get("RateLimit"))
		}
	}
	if len(items) == 0 {
		t.Errorf("no policy is said to be spent: %q", r.header.Get("RateLimit"))
	}
}

func TestAnAddressThatKeepsGuessingIsSlowedDownAndItsUsersAreNot(t *testing.T) {
	t.Parallel()
	a := limited(t, "RATE_LIMITS=address=5")
	guess := func() reply {
		return call(t, "garbage", "GET", "/api/v1/me", nil, func(r *http.Request) {
			r.URL.Host, r.Host = strings.TrimPrefix(a.base, "http://"), ""
			r.Header.Set("X-Forwarded-For", unique("10.0.0.1")) // its own word changes nothing
		})
	}
	for range 5 {
		want[failure](t, guess(), http.StatusUnauthorized)
	}
	r := guess()
	if f := want[failure](t, r, http.StatusTooManyRequests); f.reason() != "rate_limited" || r.header.Get("Retry-After") == "" {
		t.Errorf("got %+v, %v", f, r.header)
	}
	if r := at(a, t, adaApp, "GET", "/api/v1/me", nil); r.status != http.StatusOK {
		t.Errorf("a good token: %d", r.status)
	}
}

func TestCallsWithoutCredentialsAreLimitedAndProbesAreNot(t *testing.T) {
	t.Parallel()
	a := limited(t, "RATE_LIMITS=address=5")
	bare := func(path string) reply {
		return call(t, "", "GET", path, nil, func(r *http.Request) { r.URL.Host, r.Host = strings.TrimPrefix(a.base, "http://"), "" })
	}
	for range 5 {
		want[failure](t, bare("/api/v1/me"), http.StatusUnauthorized)
	}
	if f := want[failure](t, bare("/api/v1/app/orgs"), http.StatusTooManyRequests); f.reason() != "rate_limited" {
		t.Errorf("got %+v", f)
	}
	for range 20 {
		if r := bare("/healthz"); r.status != http.StatusOK {
			t.Fatalf("a probe: %d", r.status)
		}
	}
}

func TestALimitThatIsNoneStopsTheStart(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"RATE_LIMITS=free=many", "TRUSTED_PROXIES=everyone"} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		a, err := startApp(ctx, appConfig{database: must("DATABASE_URL"), env: []string{env}})
		cancel()
		name, _, _ := strings.Cut(env, "=")
		if err == nil {
			a.kill()
			t.Errorf("it started with %s", env)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
}
