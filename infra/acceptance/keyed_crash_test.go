//go:build acceptance && local

package acceptance

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// outcomes are the answers that each key got, over all of its tries.
type outcomes struct {
	sync.Mutex
	answers  map[string]map[string]bool // key → bodies of 201s
	answered int                        // calls, with whatever
	cut      int                        // calls that the app died over
}

func (o *outcomes) soFar() int {
	o.Lock()
	defer o.Unlock()
	return o.answered
}

// Clients retry at random, with a few keys among many, while the app is killed again and again: every
// key has one project, one answer and one audit event. KEYED_CALLS is how many calls are answered.
func TestKeyedRetriesOverCrashesHaveOneEffectEach(t *testing.T) {
	const clients, leastKills = 6, 5
	calls := setting("KEYED_CALLS", 1500)
	keys, run := calls/10, unique("key") // Redis may remember the keys of another run
	database := scratch(t)
	got := &outcomes{answers: map[string]map[string]bool{}}
	kills := 0
	for ; got.soFar() < calls || kills < leastKills; kills++ {
		a := start(t, database, "")
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				for tryKeyed(a, t, got, fmt.Sprintf("%s-%d", run, rand.N(keys))) {
				}
			})
		}
		<-time.After(200*time.Millisecond + rand.N(time.Second)) // somewhere on the way
		a.kill()
		all.Wait()
	}
	a := start(t, database, "")
	for key := range keys { // every key is answered in the end
		tryKeyed(a, t, got, fmt.Sprintf("%s-%d", run, key))
	}
	kept := map[string]string{}
	for cursor := ""; ; {
		r := at(a, t, bobApp, "GET", acmeProjects+"?limit=200&cursor="+cursor, nil)
		page := want[list[project]](t, r, http.StatusOK)
		for _, p := range page.Items {
			if strings.HasPrefix(p.Title, run) {
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
	t.Logf("%d calls of %d keys were answered and %d cut off over %d kills: one project, one answer and one event each", got.answered, keys, got.cut, kills)
}

// tryKeyed creates the key's project, or is told what came of it before. It is false when the app is dead.
func tryKeyed(a *app, t *testing.T, got *outcomes, key string) bool {
	req, err := http.NewRequest("POST", a.base+acmeProjects, strings.NewReader(`{"title":"`+key+`","sensitivity":"internal","pii":false}`))
	if err != nil {
		t.Error(err)
		return false
	}
	req.Header.Set("Authorization", "Bearer "+bobApp.token(t))
	req.Header.Set("Idempotency-Key", key)
	status, body, err := exchanged(req)
	got.Lock()
	defer got.Unlock()
	if err != nil {
		got.cut++
		return false
	}
	got.answered++
	switch status {
	case http.StatusCreated:
		if got.answers[key] == nil {
			got.answers[key] = map[string]bool{}
		}
		got.answers[key][string(body)] = true
	case http.StatusConflict, http.StatusServiceUnavailable:
	default:
		t.Errorf("%s: %d %s", key, status, body)
	}
	return true
}

func exchanged(req *http.Request) (status int, body []byte, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}
