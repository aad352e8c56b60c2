package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/audit/event"
	"encore.app/audit/ledger"
	"encore.app/audit/sink"
	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/broker"
	"encore.app/infra/platform/deadletter"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// testSinks is one for all tests: its rounds look at every organisation's sinks, so it delivers
// everybody's. With RABBITMQ_URL it goes through RabbitMQ.
var testSinks = sync.OnceValue(func() *sinks {
	db := testDB()
	s, err := startSinks(db, newStore(db), sinkConfig{
		rabbitURL: os.Getenv("RABBITMQ_URL"), secretsKey: strings.Repeat("k", 32), allowPrivate: "true",
		prefix: "test-" + rowid.New().String(), ladder: broker.Ladder{100 * time.Millisecond, 150 * time.Millisecond},
	})
	if err != nil {
		panic(err)
	}
	return s
})

// receiver is an organisation's system with a sink that points to it.
type receiver struct {
	org, sink uuid.UUID
	sinks     *sinks
	store     store
	key       []byte

	mu     sync.Mutex
	got    []*http.Request
	bodies [][]byte
}

// receive makes a receiver that answers with answer, given the number of the call.
func receive(t *testing.T, events []string, answer func(call int) int) *receiver {
	t.Helper()
	r := &receiver{org: rowid.New(), sinks: testSinks(), store: newStore(testDB()), key: []byte("a key of thirty-two characters!!")}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.got, r.bodies = append(r.got, req), append(r.bodies, body)
		call := len(r.got)
		r.mu.Unlock()
		w.WriteHeader(answer(call))
	}))
	t.Cleanup(server.Close)
	row, err := r.sinks.store.create(context.Background(), sinkRow{OrgID: r.org, ID: rowid.New(), URL: server.URL + "/hook", Events: events}, r.key, newEvent(r.org))
	if err != nil {
		t.Fatal(err)
	}
	r.sink = row.ID
	t.Cleanup(func() { // or its retries would go on under the other tests
		if err := r.sinks.store.delete(context.Background(), r.org, r.sink, 0, newEvent(r.org)); err != nil && !errors.Is(err, errNoSink) {
			t.Error(err)
		}
	})
	return r
}

func ok(int) int { return http.StatusNoContent }

// emit puts n events of a kind into the log and gives their ids.
func (r *receiver) emit(t *testing.T, n int, kind string) (ids []string) {
	t.Helper()
	ctx := principal.NewContext(context.Background(), principal.New(&principal.Caller{UserID: "u"}, nil))
	for range n {
		e := event.New(ctx, r.org, "create", event.Resource{Kind: kind, ID: "x"}, event.Succeeded, authz.Decision{})
		if err := r.store.append(ctx, e); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID.String())
	}
	number(t, r.store, r.org)
	return ids
}

func (r *receiver) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// received counts the deliveries by their webhook-id.
func (r *receiver) received() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]int{}
	for _, req := range r.got {
		out[req.Header.Get(sink.HeaderID)]++
	}
	return out
}

func (r *receiver) row(t *testing.T) sinkRow {
	t.Helper()
	row, err := r.sinks.store.one(context.Background(), r.org, r.sink)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func (r *receiver) log(t *testing.T, status string) []Delivery {
	t.Helper()
	items, err := r.sinks.store.deliveries(context.Background(), r.org, r.sink, status, uuid.Nil, 200)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// sql runs a statement as background work may.
func (r *receiver) sql(t *testing.T, text string, args ...any) {
	t.Helper()
	err := r.sinks.store.db.Tx(context.Background(), tenantdb.Platform(), func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), text, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestASinkGetsWhatItWantsOnceAndSigned(t *testing.T) {
	t.Parallel()
	r := receive(t, []string{"project.*"}, ok)
	want := r.emit(t, 30, "project")
	r.emit(t, 5, "doc")
	want = append(want, r.emit(t, 1, "project")...)
	eventually(t, "all are delivered", func() bool { return len(r.log(t, "delivered")) == len(want) })
	got := r.received()
	if len(got) != len(want) {
		t.Errorf("%d events, want %d", len(got), len(want))
	}
	for _, id := range want {
		if got[id] != 1 {
			t.Errorf("%s came %d times", id, got[id])
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, req := range r.got {
		h := http.Header{}
		stamp, err := strconv.ParseInt(req.Header.Get(sink.HeaderTimestamp), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sink.Sign(h, req.Header.Get(sink.HeaderID), time.Unix(stamp, 0), r.bodies[i], r.key)
		if h.Get(sink.HeaderSignature) != req.Header.Get(sink.HeaderSignature) {
			t.Fatalf("signature %q, want %q", req.Header.Get(sink.HeaderSignature), h.Get(sink.HeaderSignature))
		}
		var e struct {
			SpecVersion, ID, Source, Type, Sequence string
			Data                                    event.Event
		}
		if err := json.Unmarshal(r.bodies[i], &e); err != nil || e.SpecVersion != "1.0" || e.ID != req.Header.Get(sink.HeaderID) ||
			e.Type != "tenantry.project.create" || e.Source != ledger.Origin(r.org.String()) ||
			e.Data.ID.String() != e.ID || e.Data.Seq < 1 || e.Sequence != fmt.Sprint(e.Data.Seq) || e.Data.LeafHash == "" {
			t.Fatalf("%v: %s", err, r.bodies[i])
		}
	}
}

func TestAFailedDeliveryComesAgainUnderTheSameID(t *testing.T) {
	t.Parallel()
	r := receive(t, nil, func(call int) int {
		if call < 3 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	id := r.emit(t, 1, "project")[0]
	eventually(t, "it is delivered", func() bool { return len(r.log(t, "delivered")) == 1 })
	d := r.log(t, "")[0]
	if got := r.received(); got[id] != 3 || len(got) != 1 || d.Attempts != 3 || d.Error != "" || *d.ResponseStatus != http.StatusOK {
		t.Errorf("%v, log %+v", got, d)
	}
	if row := r.row(t); row.Failures != 0 || row.FailingSince != nil {
		t.Errorf("the success did not close the breaker: %+v", row)
	}
}

// After a few failures nothing is sent for a while, and then one delivery alone.
func TestTheBreakerOpens(t *testing.T) {
	t.Parallel()
	r := receive(t, nil, func(int) int { return http.StatusBadGateway })
	r.emit(t, 40, "project")
	eventually(t, "the breaker is open", func() bool { row := r.row(t); return row.OpenUntil != nil && row.OpenUntil.After(time.Now()) })
	eventually(t, "nothing is on its way", func() bool {
		before := r.calls()
		<-time.After(500 * time.Millisecond)
		return r.calls() == before
	})
	before := r.calls()
	if before > 2*perSink {
		t.Errorf("%d calls before the breaker opened", before)
	}
	r.sql(t, "update audit.sinks set open_until = now() where org_id = $1", r.org)
	eventually(t, "a probe", func() bool { return r.calls() > before })
	if n := r.calls() - before; n > 1 {
		t.Errorf("%d probes at once", n)
	}
}

func TestASinkThatIsGoneIsSwitchedOffAndTheLogSaysSo(t *testing.T) {
	t.Parallel()
	r := receive(t, []string{"project"}, func(int) int { return http.StatusGone })
	r.emit(t, 1, "project")
	eventually(t, "it is off", func() bool { return !r.row(t).Enabled })
	n, err := tenantdb.Row(context.Background(), r.sinks.store.db, tenantdb.Platform(), pgx.RowTo[int], `
select count(*) from platform.outbox
 where payload ->> 'action' = 'disable' and payload -> 'resource' ->> 'id' = $1 and payload -> 'actor' ->> 'type' = 'system'`, r.sink.String())
	if err != nil || n != 1 {
		t.Errorf("%d events say so, %v", n, err)
	}
	if p := r.row(t).payload(); p.Status != "disabled" || p.DisabledReason == "" {
		t.Errorf("%+v", p)
	}
}

func TestASinkThatFailsForDaysIsSwitchedOff(t *testing.T) {
	t.Parallel()
	r := receive(t, []string{"project"}, func(int) int { return http.StatusInternalServerError })
	r.sql(t, "update audit.sinks set failures = 30, failing_since = now() - interval '4 days' where org_id = $1", r.org)
	r.emit(t, 1, "project")
	eventually(t, "it is off", func() bool { return !r.row(t).Enabled })
	on := true
	if _, err := r.sinks.store.update(context.Background(), r.org, r.sink, sinkChange{enabled: &on, event: newEvent(r.org)}); err != nil {
		t.Fatal(err)
	}
	if row := r.row(t); !row.Enabled || row.Failures > 5 || row.DisabledReason != "" {
		t.Errorf("switched on again: %+v", row)
	}
}

// What retention removed before it was delivered says nothing of the receiver.
func TestAnEventThatIsGoneIsNotHeldAgainstItsSink(t *testing.T) {
	t.Parallel()
	r := receive(t, []string{"nothing.*"}, ok)
	r.sql(t, "update audit.sinks set failures = 30, failing_since = now() - interval '4 days' where org_id = $1", r.org)
	r.sql(t, "insert into audit.deliveries (org_id, sink_id, id, event_id, seq) values ($1, $2, $3, $4, 1)", r.org, r.sink, rowid.New(), rowid.New())
	eventually(t, "it is given up", func() bool { return len(r.log(t, "failed")) == 1 })
	if row := r.row(t); !row.Enabled || row.Failures != 30 || row.OpenUntil != nil || r.calls() != 0 {
		t.Errorf("%d calls, %+v", r.calls(), row)
	}
}

func TestWhatIsGivenUpIsADeadLetterThatCanBeSentAgain(t *testing.T) {
	t.Parallel()
	var works atomic.Bool
	r := receive(t, []string{"project"}, func(int) int {
		if works.Load() {
			return http.StatusOK
		}
		return http.StatusTeapot
	})
	off, on := false, true
	toggle := func(to *bool) {
		t.Helper()
		if _, err := r.sinks.store.update(context.Background(), r.org, r.sink, sinkChange{enabled: to, event: newEvent(r.org)}); err != nil {
			t.Fatal(err)
		}
	}
	r.emit(t, 1, "project")
	eventually(t, "it is fanned out", func() bool { return len(r.log(t, "")) == 1 })
	toggle(&off)
	eventually(t, "nothing is on its way", func() bool { s := r.log(t, "")[0].Status; return s != "running" })
	r.sql(t, "update audit.deliveries set attempts = $2, state = 'pending', lease = lease + 1, due_at = now() where org_id = $1", r.org, sink.MaxAttempts-1)
	toggle(&on)
	q := r.sinks.deliveryQueue()
	id := r.log(t, "")[0].ID
	var letter deadletter.Letter
	eventually(t, "it is a dead letter", func() bool {
		letters, err := q.dead(context.Background(), deadletter.Position{}, 200)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(letters, func(l deadletter.Letter) bool { return l.ID == id.String() })
		if i >= 0 {
			letter = letters[i]
		}
		return i >= 0
	})
	if d := r.log(t, "failed"); len(d) != 1 || *d[0].ResponseStatus != http.StatusTeapot {
		t.Errorf("the log says %+v", d)
	}
	if letter.Attempts != sink.MaxAttempts || letter.Reason != string(broker.Refused) || !strings.Contains(letter.Error, "418") || letter.FirstFailedAt.IsZero() {
		t.Errorf("letter %+v", letter)
	}
	if body := string(redact(letter.Body)); !strings.Contains(body, id.String()) {
		t.Errorf("operators see %s", body)
	}
	works.Store(true)
	ctx := principal.NewContext(context.Background(), principal.System("test"))
	n, err := r.sinks.change(ctx, q, "queue:requeue", authz.Decision{}, []uuid.UUID{id}, q.requeue)
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	r.sinks.poke()
	eventually(t, "it is delivered", func() bool { return len(r.log(t, "delivered")) == 1 })
}

func TestBothSecretsSignWhileOneIsReplaced(t *testing.T) {
	t.Parallel()
	r := receive(t, nil, ok)
	next := []byte("another key, no less than thirty")
	if _, err := r.sinks.store.update(context.Background(), r.org, r.sink, sinkChange{secret: next, overlap: time.Hour, event: newEvent(r.org)}); err != nil {
		t.Fatal(err)
	}
	r.emit(t, 1, "project")
	eventually(t, "it is there", func() bool { return r.calls() == 1 })
	r.sql(t, "update audit.sinks set old_secret_until = now() where org_id = $1", r.org)
	r.emit(t, 1, "project")
	eventually(t, "the second is there", func() bool { return r.calls() == 2 })
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, keys := range [][][]byte{{next, r.key}, {next}} {
		req, h := r.got[i], http.Header{}
		stamp, _ := strconv.ParseInt(req.Header.Get(sink.HeaderTimestamp), 10, 64)
		sink.Sign(h, req.Header.Get(sink.HeaderID), time.Unix(stamp, 0), r.bodies[i], keys...)
		if h.Get(sink.HeaderSignature) != req.Header.Get(sink.HeaderSignature) {
			t.Errorf("delivery %d: %q, want %q", i, req.Header.Get(sink.HeaderSignature), h.Get(sink.HeaderSignature))
		}
	}
}

func TestAReplaySendsEverythingFromANumberOn(t *testing.T) {
	t.Parallel()
	r := receive(t, []string{"project"}, ok)
	ids := r.emit(t, 6, "project")
	eventually(t, "all are delivered", func() bool { return len(r.log(t, "delivered")) == 6 })
	from := r.log(t, "")[2].Seq // newest first: the fourth
	if _, err := r.sinks.store.update(context.Background(), r.org, r.sink, sinkChange{nextSeq: &from, event: newEvent(r.org)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "three came twice", func() bool {
		got := r.received()
		return got[ids[3]] == 2 && got[ids[4]] == 2 && got[ids[5]] == 2
	})
	if got := r.received(); got[ids[0]] != 1 || got[ids[2]] != 1 {
		t.Errorf("more than was asked for: %v", got)
	}
	one := r.log(t, "")[5]
	if err := r.sinks.store.replay(context.Background(), r.org, r.sink, one.ID, newEvent(r.org)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one more", func() bool { return r.received()[one.EventID.String()] == 2 })
	if err := r.sinks.store.replay(context.Background(), r.org, r.sink, rowid.New(), newEvent(r.org)); !errors.Is(err, errNoDelivery) {
		t.Errorf("a delivery that is not there: %v", err)
	}
}

// A broker that lost everything, and a process that died over a delivery, cost time and nothing else.
func TestWhatABrokerForgotIsSentAgain(t *testing.T) {
	t.Parallel()
	r := receive(t, []string{"project"}, ok)
	r.emit(t, 3, "project")
	eventually(t, "all are delivered", func() bool { return len(r.log(t, "delivered")) == 3 })
	for _, state := range []string{"queued", "running", "retrying"} {
		before := r.calls()
		r.sql(t, "update audit.deliveries set state = $2, lease = lease + 7, due_at = now() where org_id = $1", r.org, state)
		eventually(t, state+" are delivered", func() bool { return len(r.log(t, "delivered")) == 3 && r.calls() == before+3 })
	}
}

// A message that comes late or twice finds nothing to do.
func TestAMessageThatComesTwiceDeliversOnce(t *testing.T) {
	t.Parallel()
	r := receive(t, []string{"project"}, ok)
	r.emit(t, 1, "project")
	eventually(t, "it is delivered", func() bool { return len(r.log(t, "delivered")) == 1 })
	d := r.log(t, "")[0]
	for lease := range 5 {
		body, err := json.Marshal(hint{OrgID: r.org, ID: d.ID, SinkID: r.sink, Lease: lease, Attempt: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.sinks.deliver(context.Background(), broker.Message{ID: d.ID.String(), Body: body, Attempt: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.calls(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// A settlement waits for a deletion without holding what the deletion needs.
func TestADeletionIsNotCaughtInASettlement(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, settle := range map[string]func(sinkStore, parcel) error{
		"delivered": func(s sinkStore, p parcel) error { return s.delivered(ctx, p, sink.Result{Status: 204}) },
		"failed": func(s sinkStore, p parcel) error {
			_, err := s.failed(ctx, p, sink.Result{Status: 500, Err: errors.New("500")}, time.Hour)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := receive(t, []string{"nothing.*"}, ok)
			p := parcel{OrgID: r.org, SinkID: r.sink, ID: rowid.New(), EventID: rowid.New(), lease: 1}
			r.sql(t, "update audit.sinks set failures = 1, failing_since = now() where id = $1", r.sink)
			r.sql(t, `
insert into audit.deliveries (org_id, sink_id, id, event_id, seq, state, lease, due_at)
values ($1, $2, $3, $4, 1, 'running', $5, now() + interval '1 hour')`, p.OrgID, p.SinkID, p.ID, p.EventID, p.lease)

			done := make(chan error, 1)
			err := testDB().Tx(ctx, tenantdb.Org(r.org), func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, "select from audit.sinks where id = $1 for update", r.sink); err != nil {
					return err
				}
				go func() { done <- settle(r.sinks.store, p) }()
				eventually(t, "the settlement waits", func() bool {
					var waits bool
					err := tx.QueryRow(ctx, "select exists (select from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid)))").Scan(&waits)
					return err == nil && waits
				})
				_, err := tx.Exec(ctx, "delete from audit.sinks where id = $1", r.sink)
				return err
			})
			if err := errors.Join(err, <-done); err != nil {
				t.Error(err)
			}
		})
	}
}

// old makes deliveries that the log forgets, one after the other in time.
func (r *receiver) old(t *testing.T, n int) {
	t.Helper()
	r.sql(t, `
insert into audit.deliveries (org_id, sink_id, id, event_id, seq, state, created_at)
select $1, $2, gen_random_uuid(), gen_random_uuid(), n, 'delivered', now() - interval '40 days' + n * interval '1 second'
  from generate_series(1, $3::int) n`, r.org, r.sink, n)
}

// What is being deleted or sent again is left to whoever does that, who may need more of it.
func TestPruningGoesToTheEndAndWaitsForNobody(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := receive(t, []string{"nothing.*"}, ok)
	r.old(t, pruneBatch+2)
	err := testDB().Tx(ctx, tenantdb.Org(r.org), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select from audit.deliveries where org_id = $1 and seq = 2 for update", r.org); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		r.sinks.prune(ctx)
		eventually(t, "all but one are gone", func() bool { // some by the round that every process begins with
			left := r.log(t, "")
			return len(left) == 1 && left[0].Seq == 2
		})
		return ctx.Err()
	})
	if err != nil {
		t.Error(err)
	}
}

// Who sends dead letters again waits for a sink's deletion without holding what the deletion needs.
func TestADeletionIsNotCaughtInARequeue(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := receive(t, []string{"nothing.*"}, ok)
	ids := make([]uuid.UUID, 20)
	bodies := make([]json.RawMessage, len(ids))
	for i := range ids {
		ids[i] = rowid.New()
		body, err := json.Marshal(hint{OrgID: r.org, ID: ids[i], SinkID: r.sink})
		if err != nil {
			t.Fatal(err)
		}
		bodies[i] = body
	}
	r.sql(t, `
insert into audit.deliveries (org_id, sink_id, id, event_id, seq, state)
select $1, $2, id, gen_random_uuid(), 1, 'failed' from unnest($3::uuid[]) id`, r.org, r.sink, ids)

	done := make(chan error, 1)
	err := testDB().Tx(ctx, tenantdb.Org(r.org), func(tx pgx.Tx) error {
		// As the deletion does: the sink, then its deliveries, in whatever order.
		if _, err := tx.Exec(ctx, "select from audit.sinks where id = $1 for update", r.sink); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "select from audit.deliveries where org_id = $1 and id = $2 for update", r.org, ids[10]); err != nil {
			return err
		}
		go func() {
			done <- testDB().Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error { return revive(ctx, tx, bodies) })
		}()
		eventually(t, "the requeue waits", func() bool {
			var waits bool
			err := tx.QueryRow(ctx, "select exists (select from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid)))").Scan(&waits)
			return err == nil && waits
		})
		if _, err := tx.Exec(ctx, "set local lock_timeout = '300ms'"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "delete from audit.sinks where id = $1", r.sink)
		return err
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Error(err)
	}
}

func TestLettersThatSomebodyHasAreLeftAlone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	db, queue := testDB(), "q-"+rowid.New().String()
	for _, id := range []string{"held", "free"} {
		letter := broker.DeadLetter{Message: broker.Message{ID: id, Body: []byte(`"` + id + `"`)}, Queue: queue, At: time.Now()}
		if err := deadletter.Keep(ctx, db, letter); err != nil {
			t.Fatal(err)
		}
	}
	err := db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select from platform.dead_letters where queue = $1 and id = 'held' for update", queue); err != nil {
			return err
		}
		return db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
			bodies, err := deadletter.Take(ctx, tx, queue, nil)
			if len(bodies) != 1 || string(bodies[0]) != `"free"` {
				t.Errorf("took %s", bodies)
			}
			return err
		})
	})
	if err != nil {
		t.Error(err)
	}
	if n, err := deadletter.Count(ctx, db, queue); n != 1 || err != nil {
		t.Errorf("%d letters are left, %v", n, err)
	}
}

func TestDisabledSinksHoldTheirPlace(t *testing.T) {
	t.Parallel()
	r := receive(t, []string{"project"}, ok)
	off, on := false, true
	if _, err := r.sinks.store.update(context.Background(), r.org, r.sink, sinkChange{enabled: &off, event: newEvent(r.org)}); err != nil {
		t.Fatal(err)
	}
	ids := r.emit(t, 3, "project")
	quick := receive(t, nil, ok) // whose delivery shows that rounds went by
	quick.emit(t, 1, "project")
	eventually(t, "a round went by", func() bool { return quick.calls() == 1 })
	if r.calls() != 0 {
		t.Error("a sink that is off got something")
	}
	if _, err := r.sinks.store.update(context.Background(), r.org, r.sink, sinkChange{enabled: &on, event: newEvent(r.org)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what it missed is there", func() bool { return len(r.received()) == len(ids) })
}

func TestSecretsAreSealedInTheDatabase(t *testing.T) {
	t.Parallel()
	r := receive(t, nil, ok)
	kept, err := tenantdb.Row(context.Background(), r.sinks.store.db, tenantdb.Org(r.org), pgx.RowTo[[]byte], "select secret from audit.sinks where org_id = $1", r.org)
	if err != nil || bytes.Contains(kept, r.key) {
		t.Errorf("%q, %v", kept, err)
	}
}

func TestAnErasedOrganisationHasNoSinks(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r, other := receive(t, nil, ok), receive(t, nil, ok)
	r.emit(t, 2, "project")
	eventually(t, "they are delivered", func() bool { return len(r.log(t, "delivered")) == 2 })
	err := r.sinks.store.db.Tx(ctx, tenantdb.Org(r.org), func(tx pgx.Tx) error { return EraseSinks(ctx, tx, r.org) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.sinks.store.one(ctx, r.org, r.sink); !errors.Is(err, errNoSink) {
		t.Errorf("the sink: %v", err)
	}
	if left := r.log(t, ""); len(left) != 0 {
		t.Errorf("%d deliveries are left", len(left))
	}
	other.row(t) // is there still
}

func TestRedactionLeavesOutWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	got := string(redact(json.RawMessage(`{"id":"1","ip":"10.0.0.1","actor":{"id":"2","type":"user"},"changes":{"email":"a@b","n":5,"list":["x"]},"seq":7,"z":null}`)))
	want := `{"actor":{"id":"2","type":"user"},"changes":{"email":"[redacted]","list":["[redacted]"],"n":"[redacted]"},"id":"1","ip":"[redacted]","seq":7,"z":null}`
	if got != want {
		t.Errorf("got %s", got)
	}
}
