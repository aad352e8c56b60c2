//go:build acceptance

package acceptance

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func withKey(key string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Idempotency-Key", key) }
}

const acmeProjects = "/api/v1/app/orgs/" + acme + "/projects"

func draft(title string) map[string]any {
	return map[string]any{"title": title, "sensitivity": "internal", "pii": false}
}

func TestAKeyedWriteHappensOnceAndAnswersAlike(t *testing.T) {
	t.Parallel()
	title, key := unique("keyed"), unique("key")
	first := call(t, adaApp.token(t), "POST", acmeProjects, draft(title), withKey(key))
	again := call(t, adaApp.token(t), "POST", acmeProjects, draft(title), withKey(`"`+key+`"`))
	p := want[project](t, first, http.StatusCreated)
	if again.status != http.StatusCreated || !bytes.Equal(first.body, again.body) {
		t.Errorf("first %d %s\nagain %d %s", first.status, first.body, again.status, again.body)
	}
	if first.header.Get("Idempotency-Replayed") != "" || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("replayed: first %q, again %q", first.header.Get("Idempotency-Replayed"), again.header.Get("Idempotency-Replayed"))
	}
	r := call(t, adaApp.token(t), "GET", acmeProjects+"/"+p.ID, nil)
	want[project](t, r, http.StatusOK)

	other := call(t, adaApp.token(t), "POST", acmeProjects, draft(title+" changed"), withKey(key))
	if f := want[failure](t, other, http.StatusUnprocessableEntity); f.reason() != "idempotency_key_reused" {
		t.Errorf("got %+v", f)
	}
	if grace := call(t, graceApp.token(t), "POST", acmeProjects, draft(title), withKey(key)); bytes.Equal(grace.body, first.body) || grace.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("somebody else got the answer: %s", grace.body)
	}
}

func TestManyAtOnceWithOneKeyMakeOne(t *testing.T) {
	t.Parallel()
	title, key := unique("raced"), unique("key")
	var mu sync.Mutex
	ids, statuses := map[string]bool{}, map[int]int{}
	var all sync.WaitGroup
	token := adaApp.token(t)
	for range 20 {
		all.Go(func() {
			r := call(t, token, "POST", acmeProjects, draft(title), withKey(key))
			mu.Lock()
			defer mu.Unlock()
			statuses[r.status]++
			if r.status == http.StatusCreated {
				ids[want[project](t, r, http.StatusCreated).ID] = true
			} else if f := want[failure](t, r, http.StatusConflict); f.reason() != "idempotency_in_progress" {
				t.Errorf("got %s", r.body)
			}
		})
	}
	all.Wait()
	if len(ids) != 1 {
		t.Errorf("%d projects, statuses %v", len(ids), statuses)
	}
}

func TestADenialIsNotKept(t *testing.T) {
	t.Parallel()
	key := unique("key")
	for range 2 {
		r := call(t, eveApp.token(t), "POST", acmeProjects, draft(unique("denied")), withKey(key))
		want[failure](t, r, http.StatusNotFound)
		if r.header.Get("Idempotency-Replayed") != "" {
			t.Error("a refusal at the door was replayed")
		}
	}
	restricted := map[string]any{"title": "x", "sensitivity": "restricted", "pii": false}
	for range 2 {
		r := call(t, adaApp.token(t), "POST", acmeProjects, restricted, withKey(key))
		if f := want[failure](t, r, http.StatusForbidden); f.reason() != "mfa_required" || r.header.Get("Idempotency-Replayed") != "" {
			t.Errorf("got %s", r.body)
		}
	}
}

func TestAKeyThatIsNone(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]string{
		"empty": {""}, "nothing quoted": {`""`}, "a quote inside": {`"a"b"`}, "parameters": {`"a";p=1`},
		"not ASCII": {"é"}, "too long": {strings.Repeat("a", 256)}, "twice": {"a", "a"},
	} {
		r := call(t, adaApp.token(t), "POST", acmeProjects, draft("x"), func(r *http.Request) { r.Header["Idempotency-Key"] = keys })
		f := wantFailure(t, r, http.StatusBadRequest, "validation_failed")
		if len(f.Details.Fields) != 1 || f.Details.Fields[0].Field != "Idempotency-Key" {
			t.Errorf("%s: got %s", name, r.body)
		}
	}
}
