//go:build acceptance && local

package acceptance

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Many keyed writes that are refused at once leave each other the connections that their records need.
func TestACrowdOfKeyedDenialsIsRecordedAndHoldsUpNobody(t *testing.T) {
	database := scratch(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := startApp(ctx, appConfig{database: database, seed: true, unset: []string{"RABBITMQ_URL", "REDIS_URL"}, env: []string{"HOST_DB_MAX_CONNS=4"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	conn, err := pgx.Connect(context.Background(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())

	const crowd = 24
	run, began := unique("crowd"), time.Now()
	var all sync.WaitGroup
	for i := range crowd {
		id := fmt.Sprintf("%s-%d", run, i)
		all.Go(func() {
			r := at(a, t, bobOrg, "POST", "/api/v1/org/"+acme+"/teams", map[string]any{"name": id}, func(r *http.Request) {
				r.Header.Set("X-Request-ID", id)
				r.Header.Set("Idempotency-Key", id)
			})
			if r.status != http.StatusForbidden {
				t.Errorf("got %d: %s", r.status, r.body)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("they took %s", took)
	}
	for deadline := time.Now().Add(30 * time.Second); len(denials(t, conn, run)) < crowd && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	for id, n := range denials(t, conn, run) {
		if n != 1 {
			t.Errorf("%s: %d events", id, n)
		}
	}
	if n := len(denials(t, conn, run)); n != crowd {
		t.Errorf("%d of %d are in the log", n, crowd)
	}
}
