package audit

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/deadletter"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Two relays publish; of a key the next message comes when the one before it is settled.
func TestMessagesOfAKeyComeInTheirOrder(t *testing.T) {
	t.Parallel()
	ctx, db, topic := context.Background(), testDB(), "t-"+rowid.New().String()
	const keys, each = 3, 12
	var mu sync.Mutex
	got := map[string][]int{}
	type message struct {
		ID  uuid.UUID
		Key string
		N   int
	}
	for range 2 {
		relay := outbox.StartRelay(outbox.Config{DB: db, Topics: map[string]outbox.Publish{
			topic: func(ctx context.Context, payload json.RawMessage) error {
				var m message
				if err := json.Unmarshal(payload, &m); err != nil {
					return err
				}
				mu.Lock()
				got[m.Key] = append(got[m.Key], m.N)
				mu.Unlock()
				return db.Tx(ctx, tenantdb.Scope{}, func(tx pgx.Tx) error { return outbox.Settle(ctx, tx, m.ID) })
			},
		}})
		defer relay.Close()
	}
	for n := range each {
		for _, key := range []string{"a", "b", "c"}[:keys] {
			id := rowid.New()
			err := db.Tx(ctx, tenantdb.Scope{}, func(tx pgx.Tx) error {
				return outbox.AddOrdered(ctx, tx, topic, key, id, message{ID: id, Key: key, N: n})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "all are published", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got["a"])+len(got["b"])+len(got["c"]) == keys*each
	})
	mu.Lock()
	defer mu.Unlock()
	for key, order := range got {
		if !slices.IsSorted(order) {
			t.Errorf("%s came as %v", key, order)
		}
	}
}

// A message that is not settled holds up those behind it, and nobody else; once it is dead it holds up
// nobody.
func TestAnUnsettledMessageHoldsUpItsKeyAlone(t *testing.T) {
	t.Parallel()
	ctx, db, topic := context.Background(), testDB(), "t-"+rowid.New().String()
	var mu sync.Mutex
	var got []string
	relay := outbox.StartRelay(outbox.Config{DB: db, Topics: map[string]outbox.Publish{
		topic: func(_ context.Context, payload json.RawMessage) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, strings.Trim(string(payload), `"`))
			return nil
		},
	}})
	defer relay.Close()
	ids := map[string]uuid.UUID{}
	for _, name := range []string{"k/first", "k/second", "other/first"} {
		key, _, _ := strings.Cut(name, "/")
		ids[name] = rowid.New()
		err := db.Tx(ctx, tenantdb.Scope{}, func(tx pgx.Tx) error {
			return outbox.AddOrdered(ctx, tx, topic, key, ids[name], name)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	has := func(name string) bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(got, name)
	}
	eventually(t, "both firsts", func() bool { return has("k/first") && has("other/first") })
	if has("k/second") {
		t.Error("the second came before the first was settled")
	}
	err := db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "update platform.outbox set dead_at = now() where id = $1", ids["k/first"])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second", func() bool { return has("k/second") })
}

// A broker that takes its time is asked for many messages at once.
func TestTheRelayWaitsForManyConfirmsAtOnce(t *testing.T) {
	t.Parallel()
	db, topic := testDB(), "t-"+rowid.New().String()
	const rows, latency = 60, 50 * time.Millisecond
	for range rows {
		add(t, db, topic)
	}
	var mu sync.Mutex
	n, first, last := 0, time.Time{}, time.Time{}
	relay := outbox.StartRelay(outbox.Config{DB: db, Topics: map[string]outbox.Publish{
		topic: func(context.Context, json.RawMessage) error {
			mu.Lock()
			if n == 0 {
				first = time.Now()
			}
			mu.Unlock()
			<-time.After(latency)
			mu.Lock()
			defer mu.Unlock()
			n, last = n+1, time.Now()
			return nil
		},
	}})
	defer relay.Close()
	eventually(t, "all are published", func() bool { mu.Lock(); defer mu.Unlock(); return n == rows })
	mu.Lock()
	defer mu.Unlock()
	if took := last.Sub(first); took > rows*latency/4 {
		t.Errorf("%d messages of %s took %s: one after the other", rows, latency, took)
	}
}

func TestDeadMessagesOfTheOutboxAreShownRequeuedAndPurged(t *testing.T) {
	t.Parallel()
	ctx := principal.NewContext(context.Background(), principal.System("test"))
	db, topic := testDB(), "t-"+rowid.New().String()
	again, thrown := add(t, db, topic), add(t, db, topic)
	err := db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "update platform.outbox set dead_at = now(), attempts = 20, last_error = 'no' where topic = $1", topic)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s := testSinks()
	all, err := s.queues(ctx, nil)
	if err != nil || !slices.ContainsFunc(all, func(q Queue) bool { return q.Name == topic && q.Dead == 2 && q.Depth == 0 && q.Kind == "outbox" }) {
		t.Errorf("%+v, %v", all, err)
	}
	q, err := s.queue(ctx, nil, topic)
	if err != nil {
		t.Fatal(err)
	}
	page, err := q.dead(ctx, deadletter.Position{}, 1)
	if err != nil || len(page) != 1 || page[0].Attempts != 20 || page[0].Error != "no" {
		t.Fatalf("%+v, %v", page, err)
	}
	rest, err := q.dead(ctx, page[0].Position(), 10)
	if err != nil || len(rest) != 1 || rest[0].ID == page[0].ID {
		t.Fatalf("%+v, %v", rest, err)
	}
	if n, err := s.change(ctx, q, "queue:requeue", authz.Decision{}, []uuid.UUID{again}, q.requeue); err != nil || n != 1 {
		t.Errorf("%d requeued, %v", n, err)
	}
	if rows, attempts, dead := pending(t, db, again); rows != 1 || attempts != 0 || dead {
		t.Errorf("requeued: %d rows, %d attempts, dead %v", rows, attempts, dead)
	}
	if n, err := s.change(ctx, q, "queue:purge", authz.Decision{}, nil, q.purge); err != nil || n != 1 {
		t.Errorf("%d purged, %v", n, err)
	}
	if rows, _, _ := pending(t, db, thrown); rows != 0 {
		t.Error("it is still there")
	}
	if rows, _, _ := pending(t, db, again); rows != 1 {
		t.Error("the one that is alive was purged too")
	}
	if _, err := s.queue(ctx, nil, "no-such-queue"); err == nil {
		t.Error("a queue that is not there was found")
	}
}

// hold has id's row locked by another transaction while fn runs.
func hold(t *testing.T, id uuid.UUID, fn func()) {
	t.Helper()
	err := testDB().Tx(context.Background(), tenantdb.Scope{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), "select from platform.outbox where id = $1 for update", id)
		if err == nil {
			fn()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The relay notes an outage of many messages while a consumer settles them: both take them in one order.
func TestAnOutageIsNotCaughtInASettlement(t *testing.T) {
	t.Parallel()
	ctx, db, topic := context.Background(), testDB(), "t-"+rowid.New().String()
	ids := make([]uuid.UUID, 20)
	for i := range ids {
		ids[i] = add(t, db, topic)
	}
	asked, settling := make(chan struct{}, 1000), make(chan struct{})
	relay := outbox.StartRelay(outbox.Config{DB: db, Topics: map[string]outbox.Publish{
		topic: func(context.Context, json.RawMessage) error {
			asked <- struct{}{}
			<-settling
			return errors.New("broker is away")
		},
	}})
	defer relay.Close()
	for range ids {
		<-asked
	}
	err := db.Tx(ctx, tenantdb.Scope{}, func(tx pgx.Tx) error {
		const lock = "select from platform.outbox where id = any($1) order by id for update"
		if _, err := tx.Exec(ctx, lock, ids[:1]); err != nil {
			return err
		}
		close(settling)
		eventually(t, "the relay waits", func() bool {
			var waits bool
			err := tx.QueryRow(ctx, "select exists (select from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid)))").Scan(&waits)
			return err == nil && waits
		})
		if _, err := tx.Exec(ctx, "set local lock_timeout = '300ms'"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, lock, ids)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Two who settle the same messages take them in one order, however they lie in the table.
func TestSettlementsAreNotCaughtInEachOther(t *testing.T) {
	t.Parallel()
	ctx, db, topic := context.Background(), testDB(), "t-"+rowid.New().String()
	ids := make([]uuid.UUID, 64)
	for i := range ids {
		ids[i] = add(t, db, topic)
	}
	if err := exec(t, tenantdb.Platform(), "update platform.outbox set attempts = 1 where id = $1", ids[0]); err != nil { // to the end
		t.Fatal(err)
	}
	done := make(chan error, 1)
	err := db.Tx(ctx, tenantdb.Scope{}, func(tx pgx.Tx) error {
		if err := outbox.Settle(ctx, tx, ids[0]); err != nil {
			return err
		}
		go func() {
			var batch pgx.Batch
			outbox.QueueSettle(&batch, ids...)
			done <- db.Send(ctx, tenantdb.Scope{}, &batch)
		}()
		eventually(t, "the other waits", func() bool {
			var waits bool
			err := tx.QueryRow(ctx, "select exists (select from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid)))").Scan(&waits)
			return err == nil && waits
		})
		if _, err := tx.Exec(ctx, "set local lock_timeout = '300ms'"); err != nil {
			return err
		}
		return outbox.Settle(ctx, tx, ids[1])
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Error(err)
	}
}

func TestDeadMessagesThatSomebodyHasAreLeftAlone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	db, topic := testDB(), "t-"+rowid.New().String()
	held, requeued, purged := add(t, db, topic), add(t, db, topic), add(t, db, topic)
	err := exec(t, tenantdb.Platform(), "update platform.outbox set dead_at = now() where topic = $1", topic)
	if err != nil {
		t.Fatal(err)
	}
	hold(t, held, func() {
		err := db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
			n, err := outbox.Requeue(ctx, tx, topic, []uuid.UUID{held, requeued})
			if err != nil || n != 1 {
				t.Errorf("%d requeued, %v", n, err)
				return err
			}
			if n, err = outbox.Purge(ctx, tx, topic, nil); err != nil || n != 1 {
				t.Errorf("%d purged, %v", n, err)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	for id, want := range map[uuid.UUID]struct {
		rows int
		dead bool
	}{held: {1, true}, requeued: {1, false}, purged: {0, false}} {
		if rows, _, dead := pending(t, db, id); rows != want.rows || dead != want.dead {
			t.Errorf("%d rows, dead %v, want %+v", rows, dead, want)
		}
	}
}
