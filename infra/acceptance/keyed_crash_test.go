//go:build acceptance && local

package acceptance

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// keyedCalls is how many keyed requests the next test sends; KEYED_CALLS makes it more.
func keyedCalls(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("KEYED_CALLS"))
	if err != nil {
		return 1500
	}
	return n
}

// outcomes are the answers that each key got, over all of its tries.
type outcomes struct {
	sync.Mutex
	answers map[string]map[string]bool // key → bodies of 201s
	calls   int
}

func (o *outcomes) note(key, body string) {
	o.Lock()
	defer o.Unlock()
	if o.answers[key] == nil {
		o.answers[key] = map[string]bool{}
	}
	o.answers[key][body] = true
}

// Clients retry at random, with a few keys among many, while the app is killed again and again: every
// key has one project, one answer and one audit event.
func TestKeyedRetriesOverCrashesHaveOneEffectEach(t *testing.T) {
	const keys, rounds, clients = 150, 5, 6
	database := scratch(t)
	got := &outcomes{answers: map[string]map[string]bool{}}
	perRound := keyedCalls(t) / rounds
	for range rounds {
		a := start(t, database, "")
		var all sync.WaitGroup
		dead := make(chan struct{})
		for range clients {
			all.Go(func() {
				for range perRound / clients {
					tryKeyed(a, t, got, fmt.Sprintf("key-%d", rand.N(keys)))
				}
			})
		}
		go func() { // somewhere on the way
			select {
			case <-time.After(time.Duration(perRound/3+rand.N(perRound/2+1)) * time.Millisecond):
			case <-dead:
			}
			a.cmd.Process.Kill()
		}()
		all.Wait()
		close(dead)
		a.kill()
	}
	a := start(t, database, "")
	for key := range keys { // every key is answered in the end
		tryKeyed(a, t, got, fmt.Sprintf("key-%d", key))
	}
	kept := map[string]string{}
	for cursor := ""; ; {
		r := at(a, t, bobApp, "GET", acmeProjects+"?limit=200&cursor="+cursor, nil)
		page := want[list[project]](t, r, http.StatusOK)
		for _, p := range page.Items {
			if strings.HasPrefix(p.Title, "key-") {
				if kept[p.Title] != "" {
					t.Errorf("%s made two projects", p.Title)
				}
				kept[p.Title] = p.ID
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if len(kept) != keys || len(got.answers) != keys {
		t.Errorf("%d projects and %d answered keys of %d", len(kept), len(got.answers), keys)
	}
	for key, bodies := range got.answers {
		if len(bodies) != 1 {
			t.Errorf("%s got %d different answers", key, len(bodies))
		}
		for body := range bodies {
			if !strings.Contains(body, kept[key]) {
				t.Errorf("%s was answered %s, and %s is there", key, body, kept[key])
			}
		}
	}
	eventually(t, 60*time.Second, "every project has its event", func() bool { return len(createEvents(a, t)) >= keys })
	for id, n := range createEvents(a, t) {
		if n != 1 {
			t.Errorf("project %s has %d events", id, n)
		}
	}
	t.Logf("%d calls of %d keys over %d kills: one project, one answer and one event each", got.calls, keys, rounds)
}

// tryKeyed creates the key's project, or is told what came of it before, or finds the app dead.
func tryKeyed(a *app, t *testing.T, got *outcomes, key string) {
	req, err := http.NewRequest("POST", a.base+acmeProjects, strings.NewReader(`{"title":"`+key+`","sensitivity":"internal","pii":false}`))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+bobApp.token(t))
	req.Header.Set("Idempotency-Key", key)
	got.Lock()
	got.calls++
	got.Unlock()
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return
	}
	switch resp.StatusCode {
	case http.StatusCreated:
		got.note(key, string(body))
	case http.StatusConflict, http.StatusServiceUnavailable:
	default:
		t.Errorf("%s: %d %s", key, resp.StatusCode, body)
	}
}
