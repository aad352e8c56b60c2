//go:build acceptance && local

package acceptance

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// sharing starts a replica with a Redis that others have too: the run's, or one of the test's own.
func sharing(t *testing.T, database, redis string, seed bool) *app {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := startApp(ctx, appConfig{database: database, seed: seed, unset: []string{"RABBITMQ_URL"}, env: []string{"REDIS_URL=" + redis}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	return a
}

// A role that is taken away on one replica is gone with the next request on any, though both remember
// decisions and share them; one that is given counts as soon.
func TestARoleTakenAwayIsGoneOnEveryReplica(t *testing.T) {
	redis := os.Getenv("REDIS_URL")
	if redis == "" {
		redis = "redis://" + miniredis.RunT(t).Addr()
	}
	database := scratch(t)
	one, two := sharing(t, database, redis, true), sharing(t, database, redis, false)
	owner, console, staff, bob := signIn(t, adaApp), signIn(t, adaOrg), signIn(t, root), signIn(t, bobApp)
	body := map[string]any{"title": "shared", "sensitivity": "internal", "pii": false}
	p := want[project](t, on(one, t, owner, "POST", "/api/v1/app/orgs/"+acme+"/projects", body), http.StatusCreated)
	path := "/api/v1/app/orgs/" + acme + "/projects/" + p.ID
	for _, a := range []*app{one, two, one, two} {
		want[project](t, on(a, t, bob, "GET", path, nil), http.StatusOK)
	}
	if !regexp.MustCompile(`tenantry_authz_decisions_total\{effect="allow",layer="redis"\} [1-9]`).Match(on(two, t, "", "GET", "/metrics", nil).body) {
		t.Error("no decision came from Redis: the replicas share nothing, and the rest proves less")
	}

	id := want[list[user]](t, on(one, t, staff, "GET", "/api/v1/admin/users?query=bob@", nil), http.StatusOK).Items[0].ID
	become := func(a *app, role string) {
		t.Helper()
		r := on(a, t, console, "PATCH", "/api/v1/org/"+acme+"/members/"+id, map[string]any{"org_roles": []string{role}})
		if r.status != http.StatusOK {
			t.Fatalf("got %d: %s", r.status, r.body)
		}
	}
	for round := range 10 {
		changes, other := one, two
		if round%2 == 1 {
			changes, other = two, one
		}
		become(changes, "guest")
		wantFailure(t, on(other, t, bob, "GET", path, nil), http.StatusForbidden, "policy_denied")
		wantFailure(t, on(changes, t, bob, "GET", path, nil), http.StatusForbidden, "policy_denied")
		become(other, "member")
		want[project](t, on(changes, t, bob, "GET", path, nil), http.StatusOK)
		want[project](t, on(other, t, bob, "GET", path, nil), http.StatusOK)
	}

	// Everything is forgotten at a word, and nobody notices.
	if r := on(two, t, staff, "POST", "/api/v1/admin/authz/cache/invalidate", map[string]any{"all": true}); r.status/100 != 2 {
		t.Fatalf("got %d: %s", r.status, r.body)
	}
	want[project](t, on(one, t, bob, "GET", path, nil), http.StatusOK)
}
