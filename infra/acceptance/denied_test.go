//go:build acceptance && local

package acceptance

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Whoever the matrix turns away changes no row of any tenant, and is in the log with one event.
func TestADenialChangesNothingAndIsRecordedOnce(t *testing.T) {
	database := scratch(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := startApp(ctx, appConfig{
		database: database, seed: true, unset: []string{"RABBITMQ_URL", "REDIS_URL"},
		env: []string{"RATE_LIMITS=caller=100000,free=100000,enterprise=100000,address=100000"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	conn, err := pgx.Connect(context.Background(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())

	m := load(t)
	run, denied := unique("denied"), map[string]string{} // request id → case
	calls, before := 0, rowsOfTenants(t, conn)
	for _, op := range m.Operations {
		method, _, _ := strings.Cut(op.Operation, " ")
		for _, c := range op.Cases {
			for name, who := range m.Callers {
				expect, named := c.Expect[name]
				if !named && !who.Named {
					expect = c.Expect["*"]
				}
				status, _, _ := strings.Cut(expect, " ")
				if strings.Contains(expect, " or ") || status != "403" && status != "404" {
					continue
				}
				calls++
				id := fmt.Sprintf("%s-%d", run, calls)
				r := at(a, t, caller{user: who.User, client: who.Client, mfa: who.MFA}, method, c.Path, body(c.Body), func(r *http.Request) {
					r.Header.Set("X-Request-ID", id)
					if op.Keyed {
						r.Header.Set("Idempotency-Key", id)
					}
				})
				what := fmt.Sprintf("%s %s as %s", method, c.Path, name)
				if fmt.Sprint(r.status) != status {
					t.Errorf("%s: got %d, want %s: %s", what, r.status, expect, r.body)
				}
				if r.status == http.StatusForbidden || foreignTo(who.User, c.Path) {
					denied[id] = what
				}
			}
			after := rowsOfTenants(t, conn)
			for table := range after {
				if after[table] != before[table] {
					t.Errorf("%s %s: those who were refused changed %s", method, c.Path, table)
				}
			}
			before = after
		}
	}
	if len(denied) < 100 {
		t.Fatalf("only %d denials: this proves nothing", len(denied))
	}
	var events map[string]int
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) && missing(denied, events); <-tick.C {
		events = denials(t, conn, run)
	}
	for _, id := range slices.Sorted(maps.Keys(denied)) {
		if events[id] != 1 {
			t.Errorf("%s: %d events", denied[id], events[id])
		}
	}
	for id, n := range events { // what is absent to those who may look is no denial
		if denied[id] == "" {
			t.Errorf("%s is no denial: %d events", id, n)
		}
	}
	t.Logf("%d calls were refused, %d of them denied: no row changed, one event each", calls, len(denied))
}

// foreignTo says that the organisation of path is none of the user's: it is denied, and looks absent.
func foreignTo(user, path string) bool {
	scoped := strings.HasPrefix(path, "/api/v1/org/") || strings.HasPrefix(path, "/api/v1/app/orgs/")
	switch {
	case !scoped:
		return false
	case strings.Contains(path, "/"+acme):
		return !strings.HasSuffix(user, "@acme.test")
	case strings.Contains(path, "/"+globex):
		return user != eveOrg.user && user != bobOrg.user
	}
	return true
}

func missing(denied map[string]string, events map[string]int) bool {
	for id := range denied {
		if events[id] == 0 {
			return true
		}
	}
	return false
}

// moving are columns that change with time and not with a call: when background work looks at a licence
// again, and from which token a profile is.
var moving = []string{"review_at", "claims_at", "updated_at"}

// rowsOfTenants are digests of every row that a call could change, of whichever tenant or of none, by
// table.
func rowsOfTenants(t *testing.T, conn *pgx.Conn) map[string]string {
	t.Helper()
	return underPlatform(t, conn, func(tx pgx.Tx) (map[string]string, error) {
		tables, err := collect[string](tx, `
select format('%I.%I', schemaname, tablename) from pg_tables
 where schemaname in ('orgs', 'licensing', 'identity') or schemaname = 'audit' and tablename in ('sinks', 'deliveries', 'retention')`)
		if err != nil {
			return nil, err
		}
		orgs, err := collect[string](tx, "select id::text from orgs.orgs order by id")
		if err != nil {
			return nil, err
		}
		digests := map[string]string{}
		for _, org := range orgs {
			if _, err := tx.Exec(context.Background(), "select set_config('app.org_id', $1, true)", org); err != nil {
				return nil, err
			}
			for _, table := range tables {
				digest, err := collect[string](tx, `
select md5(coalesce(string_agg(row, '|' order by row), ''))
  from (select (to_jsonb(t) - $1::text[])::text from `+table+` t) as rows(row)`, moving)
				if err != nil {
					return nil, err
				}
				digests[table] += digest[0]
			}
		}
		return digests, nil
	})
}

// denials counts the log's denials by request.
func denials(t *testing.T, conn *pgx.Conn, run string) map[string]int {
	t.Helper()
	return underPlatform(t, conn, func(tx pgx.Tx) (map[string]int, error) {
		ids, err := collect[string](tx, "select request_id from audit.events where outcome = 'denied' and request_id like $1", run+"-%")
		out := map[string]int{}
		for _, id := range ids {
			out[id]++
		}
		return out, err
	})
}

func underPlatform[T any](t *testing.T, conn *pgx.Conn, fn func(pgx.Tx) (T, error)) (out T) {
	t.Helper()
	err := pgx.BeginFunc(context.Background(), conn, func(tx pgx.Tx) (err error) {
		if _, err := tx.Exec(context.Background(), "select set_config('app.platform', 'on', true)"); err != nil {
			return err
		}
		out, err = fn(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func collect[T any](tx pgx.Tx, sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(context.Background(), sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}
