package audit

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/audit/event"
	"encore.app/audit/ledger"
	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/database"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/storage/sqldb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ownsTables ends a test that needs the tables' owner where tests run as somebody else, as Encore's do.
func ownsTables(t *testing.T) {
	t.Helper()
	owns, err := tenantdb.Row(t.Context(), testDB(), tenantdb.Scope{}, pgx.RowTo[bool],
		"select pg_has_role(relowner, 'usage') from pg_class where oid = 'audit.events'::regclass")
	if err != nil {
		t.Fatal(err)
	}
	if !owns {
		t.Skip("NOT RUN: the tests' role does not own the tables; make test has one that does")
	}
}

func testDB() *tenantdb.DB { return tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB)) }

var testKeys = sync.OnceValue(func() *ledger.Keys {
	signing, err := ledger.GenerateKey()
	if err != nil {
		panic(err)
	}
	keys, err := ledger.ParseKeys(signing, "")
	if err != nil {
		panic(err)
	}
	return keys
})

// number has the sequencer see to one log until nothing waits there.
func number(t *testing.T, s store, org uuid.UUID) {
	t.Helper()
	eventually(t, "the log has no more waiting", func() bool {
		if _, err := s.sequence(context.Background(), []uuid.UUID{org}, testKeys()); err != nil {
			t.Fatal(err)
		}
		n, err := tenantdb.Row(context.Background(), s.db, tenantdb.Platform(), pgx.RowTo[int],
			"select count(*) from audit.pending where org_id = $1", org)
		if err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
}

func newEvent(org uuid.UUID) event.Event {
	ctx := principal.NewContext(context.Background(), principal.New(&principal.Caller{UserID: "u"}, nil))
	return event.New(ctx, org, "create", event.Resource{Kind: "project", ID: "p"}, event.Succeeded, authz.Decision{ID: "d"})
}

func pending(t *testing.T, db *tenantdb.DB, id uuid.UUID) (rows, attempts int, dead bool) {
	t.Helper()
	type state struct {
		Attempts int
		Dead     bool
	}
	found, err := tenantdb.Rows(context.Background(), db, tenantdb.Platform(), pgx.RowToStructByPos[state],
		"select attempts, dead_at is not null from platform.outbox where id = $1", id)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		return 0, 0, false
	}
	return len(found), found[0].Attempts, found[0].Dead
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestAnEventIsKeptOnceHoweverOftenItComes(t *testing.T) {
	t.Parallel()
	ctx, db, org := context.Background(), testDB(), rowid.New()
	e := newEvent(org)
	if err := Record(ctx, e); err != nil {
		t.Fatal(err)
	}
	s := newStore(db)
	for range 3 {
		if err := s.append(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	number(t, s, org)
	got, err := s.search(ctx, filter{org: &org, limit: 10})
	if err != nil || len(got) != 1 || got[0].ID != e.ID || got[0].DecisionID != "d" || got[0].Actor.ID != "u" {
		t.Errorf("got %+v, %v", got, err)
	}
	if rows, _, _ := pending(t, db, e.ID); rows != 0 {
		t.Error("the message is still in the outbox")
	}
}

// What the broker's last attempt leaves is in the outbox and nowhere else.
func TestTheLastAttemptLeavesAnEventToTheOutbox(t *testing.T) {
	t.Parallel()
	if n := logSubscription.Config().RetryPolicy.MaxRetries; n != redeliveries {
		t.Errorf("the policy says %d", n)
	}
	ctx, s := context.Background(), testService(t)
	e := newEvent(rowid.New())
	if err := Record(ctx, e); err != nil {
		t.Fatal(err)
	}
	refused := e
	refused.Outcome = "unheard of"
	for attempt := 1; attempt <= redeliveries; attempt++ {
		if err := s.keepAt(ctx, &refused, attempt); err == nil {
			t.Errorf("attempt %d says that it was kept", attempt)
		}
	}
	if err := s.keepAt(ctx, &refused, redeliveries+1); err != nil {
		t.Errorf("the last attempt gives it to the dead: %v", err)
	}
	if err := new(Service).keepAt(ctx, &e, redeliveries+1); err != nil { // which has no store, and panics
		t.Errorf("a panic of the last attempt gives it to the dead: %v", err)
	}
	if rows, _, dead := pending(t, s.store.db, e.ID); rows != 1 || dead {
		t.Errorf("%d rows in the outbox, dead %v", rows, dead)
	}
}

func TestAChangeThatIsRolledBackHasNoEvent(t *testing.T) {
	t.Parallel()
	ctx, db, org := context.Background(), testDB(), rowid.New()
	e := newEvent(org)
	undo := errors.New("undo")
	err := db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
		if err := e.Record(ctx, tx); err != nil {
			return err
		}
		return undo
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	if rows, _, _ := pending(t, db, e.ID); rows != 0 {
		t.Error("the message survived")
	}
}

func TestThePlatformsLogIsItsOwn(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), newStore(testDB())
	e := newEvent(uuid.Nil)
	if err := s.append(ctx, e); err != nil {
		t.Fatal(err)
	}
	number(t, s, uuid.Nil)
	if _, ok, err := s.one(ctx, uuid.Nil, e.ID); err != nil || !ok {
		t.Errorf("the platform does not see it: %v", err)
	}
	if _, ok, err := s.one(ctx, rowid.New(), e.ID); err != nil || ok {
		t.Errorf("an organisation sees it: %v", err)
	}
}

func TestPagesOfTheLogMeet(t *testing.T) {
	t.Parallel()
	ctx, s, org := context.Background(), newStore(testDB()), rowid.New()
	at := time.Now().UTC().Truncate(time.Microsecond)
	want := map[uuid.UUID]bool{}
	for i := range 7 {
		e := newEvent(org)
		e.OccurredAt = at.Add(time.Duration(i/2) * time.Second) // several at one instant
		want[e.ID] = true
		if err := s.append(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	number(t, s, org)
	f := filter{org: &org, limit: 2}
	for {
		got, err := s.search(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range got {
			if !want[e.ID] {
				t.Fatalf("%s is not ours or came twice", e.ID)
			}
			delete(want, e.ID)
		}
		if len(got) < f.limit {
			break
		}
		f.before = position{At: got[len(got)-1].OccurredAt, ID: got[len(got)-1].ID}
	}
	if len(want) != 0 {
		t.Errorf("%d events on no page", len(want))
	}
}

// topic is one that no other test's relay publishes.
func add(t *testing.T, db *tenantdb.DB, topic string) uuid.UUID {
	t.Helper()
	id := rowid.New()
	err := db.Tx(context.Background(), tenantdb.Scope{}, func(tx pgx.Tx) error {
		return outbox.Add(context.Background(), tx, topic, id, map[string]string{"id": id.String()})
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestTheRelayTriesAgainUntilTheBrokerTakesIt(t *testing.T) {
	t.Parallel()
	db, topic := testDB(), "t-"+rowid.New().String()
	var tries atomic.Int32
	relay := outbox.StartRelay(outbox.Config{DB: db, Topics: map[string]outbox.Publish{
		topic: func(context.Context, json.RawMessage) error {
			if tries.Add(1) < 3 {
				return errors.New("broker is away")
			}
			return nil
		},
	}})
	defer relay.Close()
	id := add(t, db, topic)
	eventually(t, "three tries", func() bool { return tries.Load() >= 3 })
	// Published is not settled: the row stays until the consumer's effect.
	if rows, _, dead := pending(t, db, id); rows != 1 || dead {
		t.Errorf("%d rows, dead %v", rows, dead)
	}
}

func TestAPoisonMessageIsSetAsideAndBlocksNobody(t *testing.T) {
	t.Parallel()
	ctx, db, topic := context.Background(), testDB(), "t-"+rowid.New().String()
	malformed, unsettled := add(t, db, topic), add(t, db, topic)
	err := db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error { // as if no consumer ever managed
		_, err := tx.Exec(ctx, "update platform.outbox set attempts = 19 where id = $1", unsettled)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	good := add(t, db, topic)
	var delivered atomic.Bool
	relay := outbox.StartRelay(outbox.Config{DB: db, Topics: map[string]outbox.Publish{
		topic: func(_ context.Context, payload json.RawMessage) error {
			var m struct{ ID uuid.UUID }
			if err := json.Unmarshal(payload, &m); err != nil {
				return err
			}
			if m.ID == malformed {
				return outbox.ErrMalformed
			}
			delivered.Store(delivered.Load() || m.ID == good)
			return nil
		},
	}})
	defer relay.Close()
	eventually(t, "both are dead and the other is delivered", func() bool {
		_, _, first := pending(t, db, malformed)
		_, _, second := pending(t, db, unsettled)
		return first && second && delivered.Load()
	})
	if _, _, dead := pending(t, db, good); dead {
		t.Error("the good one is dead too")
	}
}

func TestAnOutageOfTheBrokerCostsNoAttempt(t *testing.T) {
	t.Parallel()
	ctx, db, topic := context.Background(), testDB(), "t-"+rowid.New().String()
	id := add(t, db, topic)
	var tries atomic.Int32
	relay := outbox.StartRelay(outbox.Config{DB: db, Topics: map[string]outbox.Publish{
		topic: func(context.Context, json.RawMessage) error {
			tries.Add(1)
			return errors.New("broker is away")
		},
	}})
	defer relay.Close()
	for tries.Load() < 25 { // more than a message may be published in vain
		err := db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error { // do not wait for its turn
			_, err := tx.Exec(ctx, "update platform.outbox set due_at = now() where id = $1", id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		add(t, db, topic) // wakes the relay
	}
	if rows, attempts, dead := pending(t, db, id); rows != 1 || dead || attempts > 1 {
		t.Errorf("%d rows, %d attempts, dead %v", rows, attempts, dead)
	}
}

func TestTwoRelaysPublishARowOnce(t *testing.T) {
	t.Parallel()
	db, topic := testDB(), "t-"+rowid.New().String()
	var published atomic.Int32
	count := func(context.Context, json.RawMessage) error { published.Add(1); return nil }
	for range 2 {
		relay := outbox.StartRelay(outbox.Config{DB: db, Topics: map[string]outbox.Publish{topic: count}})
		defer relay.Close()
	}
	const rows = 150 // more than a batch
	for range rows {
		add(t, db, topic)
	}
	eventually(t, "all are published", func() bool { return published.Load() >= rows })
	if n := published.Load(); n != rows {
		t.Errorf("%d rows published %d times", rows, n)
	}
}
