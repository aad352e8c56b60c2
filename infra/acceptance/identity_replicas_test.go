//go:build acceptance && local

package acceptance

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// on makes a request to one replica with whatever bearer.
func on(a *app, t *testing.T, bearer, method, path string, body any) reply {
	t.Helper()
	return call(t, bearer, method, path, body, func(r *http.Request) {
		u, err := url.Parse(a.base + path)
		if err != nil {
			t.Fatal(err)
		}
		r.URL, r.Host = u, u.Host
	})
}

// refusedWithin measures how long a replica goes on letting a bearer in.
func refusedWithin(t *testing.T, a *app, bearer, path string) time.Duration {
	t.Helper()
	since := time.Now()
	eventually(t, 5*time.Second, "refused on the other replica", func() bool {
		return on(a, t, bearer, "GET", path, nil).status == http.StatusUnauthorized
	})
	took := time.Since(since)
	wantFailure(t, on(a, t, bearer, "GET", path, nil), http.StatusUnauthorized, "token_revoked")
	return took
}

// What is ended on one replica is refused on the other within five seconds, whichever credential it is.
func TestEveryReplicaRefusesWhatOneEnded(t *testing.T) {
	database := scratch(t)
	one, two := start(t, database, ""), start(t, database, "")
	root := signIn(t, rootMFA)
	ok := func(r reply) reply {
		t.Helper()
		if r.status/100 != 2 {
			t.Fatalf("got %d: %s", r.status, r.body)
		}
		return r
	}
	both := func(bearer, path string) { // both have it in memory
		t.Helper()
		for _, a := range []*app{one, two, one, two} {
			ok(on(a, t, bearer, "GET", path, nil))
		}
	}
	const me = "/api/v1/me"
	bob := want[list[user]](t, on(one, t, root, "GET", "/api/v1/admin/users?query=bob@", nil), http.StatusOK).Items[0].ID
	people := "/api/v1/admin/users/" + bob

	bearer := signIn(t, bobApp)
	both(bearer, me)
	ok(on(one, t, root, "POST", people+"/revoke-sessions", nil))
	t.Logf("sessions revoked: refused after %s", refusedWithin(t, two, bearer, me))
	bearer = signIn(t, bobApp)
	both(bearer, me)
	ok(on(one, t, root, "POST", people+"/disable", nil))
	t.Logf("user disabled: refused after %s", refusedWithin(t, two, bearer, me))
	wantFailure(t, on(one, t, signIn(t, bobApp), "GET", me, nil), http.StatusUnauthorized, "token_revoked")
	ok(on(one, t, root, "POST", people+"/enable", nil))
	eventually(t, 5*time.Second, "enabled again", func() bool {
		return on(two, t, signIn(t, bobApp), "GET", me, nil).status == http.StatusOK
	})
	wantFailure(t, on(two, t, bearer, "GET", me, nil), http.StatusUnauthorized, "token_revoked")

	keys := "/api/v1/org/" + acme + "/api-keys"
	ada := signIn(t, adaOrg)
	k := want[apiKey](t, on(one, t, ada, "POST", keys, map[string]any{"name": "k", "org_roles": []string{"member"}}), http.StatusCreated)
	both(k.Key, "/api/v1/org/"+acme)
	ok(on(one, t, ada, "DELETE", keys+"/"+k.ID, nil))
	t.Logf("key revoked: refused after %s", refusedWithin(t, two, k.Key, "/api/v1/org/"+acme))

	i := want[impersonation](t, on(one, t, root, "POST", "/api/v1/admin/impersonations",
		map[string]any{"user_id": bob, "org_id": acme, "reason": "r", "minutes": 5}), http.StatusCreated)
	both(i.Token, me)
	ok(on(one, t, root, "DELETE", "/api/v1/admin/impersonations/"+i.ID, nil))
	t.Logf("impersonation ended: refused after %s", refusedWithin(t, two, i.Token, me))
}
