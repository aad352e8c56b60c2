package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/audit/event"
	"encore.app/audit/ledger"
	"encore.app/authz"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

// testService is the service without its background work.
func testService(t *testing.T) *Service {
	t.Helper()
	s := newStore(testDB())
	a, err := newArchive(s, checkpointBucket(), testKeys())
	if err != nil {
		t.Fatal(err)
	}
	return &Service{store: s, keys: testKeys(), verifiers: a.verifiers}
}

// fill writes n events of one person, from one address, and has them numbered.
func fill(t *testing.T, s store, org uuid.UUID, n int, edit ...func(int, *event.Event)) []event.Event {
	t.Helper()
	person := rowid.New()
	events := make([]event.Event, n)
	for i := range events {
		e, err := newEvent(org).With(map[string]any{"n": i, "half": 0.5})
		if err != nil {
			t.Fatal(err)
		}
		e.IP, e.Person = "192.0.2.1", &person
		for _, f := range edit {
			f(i, &e)
		}
		if err := s.append(context.Background(), e); err != nil {
			t.Fatal(err)
		}
		events[i] = e
	}
	number(t, s, org)
	return events
}

// exported is the organisation's log as a verifier gets it.
func exported(t *testing.T, s *Service, org uuid.UUID, query string) []byte {
	t.Helper()
	x, err := parseExport(org, query)
	if err != nil {
		t.Fatal(err)
	}
	state, err := s.store.log(context.Background(), org)
	if err != nil {
		t.Fatal(err)
	}
	form, err := s.formOf(context.Background(), x, state)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := s.stream(context.Background(), w, x, state.Size, form); err != nil {
		t.Fatal(err)
	}
	return w.Body.Bytes()
}

func verify(t *testing.T, s *Service, file []byte, earlier *ledger.Checkpoint) *ledger.Report {
	t.Helper()
	r, err := ledger.Verify(bytes.NewReader(file), ledger.Options{Keys: s.verifiers, Earlier: earlier})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func checkpointOf(t *testing.T, s *Service, org uuid.UUID) ledger.Checkpoint {
	t.Helper()
	c, _, err := s.signed(context.Background(), org)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func exec(t *testing.T, scope tenantdb.Scope, sql string, args ...any) error {
	t.Helper()
	return testDB().Tx(context.Background(), scope, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), sql, args...)
		return err
	})
}

func TestWhatIsWrittenVerifies(t *testing.T) {
	t.Parallel()
	s, org := testService(t), rowid.New()
	person := rowid.New()
	fill(t, s.store, org, 520, func(i int, e *event.Event) {
		if i%7 != 0 {
			return
		}
		with, err := e.WithPersonal(person, map[string]any{"email": fmt.Sprintf("a%d@b.test", i), "name": "Zoë <z>\u2028"})
		if err != nil {
			t.Fatal(err)
		}
		*e = with
	})
	for _, query := range []string{"", "proofs=true", "action=create", "action=nothing"} {
		if r := verify(t, s, exported(t, s, org, query), nil); !r.OK() || r.Complete != !strings.HasPrefix(query, "action") || (r.Entries != 520 && query != "action=nothing") {
			t.Errorf("%q: %+v", query, r)
		}
	}
	if r := verify(t, s, exported(t, s, rowid.New(), ""), nil); !r.OK() || r.Entries != 0 {
		t.Errorf("an empty log: %+v", r)
	}
}

// Every event gets exactly one number and no number is left out, however many sequencers and writers
// run, and whatever is rolled back.
func TestNumbersAreDenseUnderManySequencers(t *testing.T) {
	t.Parallel()
	s, org := newStore(testDB()), rowid.New()
	ctx, stop := context.WithCancel(context.Background())
	var sequencers, writers sync.WaitGroup
	for range 4 {
		sequencers.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.sequence(ctx, []uuid.UUID{org}, testKeys()); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	const each, width = 60, 8
	for range width {
		writers.Go(func() {
			for i := range each {
				e := newEvent(org)
				for range 1 + i%2 { // some come twice
					if err := s.append(ctx, e); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	number(t, s, org)
	stop()
	sequencers.Wait()
	type row struct{ Events, Distinct, First, Last int64 }
	got, err := tenantdb.Row(context.Background(), s.db, tenantdb.Org(org), pgx.RowToStructByPos[row],
		"select count(*), count(distinct event_id), min(seq), max(seq) from audit.leaves where org_id = $1", org)
	if want := (row{each * width, each * width, 1, each * width}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestErasingAPersonLeavesEveryProofValid(t *testing.T) {
	t.Parallel()
	ctx, s, org := context.Background(), testService(t), rowid.New()
	gone, stays := rowid.New(), rowid.New()
	tell := func(i int, e *event.Event) {
		e.Person = &gone
		with, err := e.WithPersonal(gone, map[string]any{"email": "gone@example.test"})
		if err == nil {
			with, err = with.WithPersonal(stays, map[string]any{"name": "stays"})
		}
		if err != nil {
			t.Fatal(err)
		}
		*e = with
	}
	first := fill(t, s.store, org, 3, tell)[0]
	earlier := checkpointOf(t, s, org)
	before, _, err := s.store.one(ctx, org, first.ID)
	if err != nil || before.IP != "192.0.2.1" || !bytes.Contains(before.Changes, []byte("gone@example.test")) {
		t.Fatalf("%+v, %v", before, err)
	}
	var dead [2]event.Event // one before and one after
	for i := range dead {
		dead[i] = newEvent(org)
		dead[i].IP = "192.0.2.1"
		tell(0, &dead[i])
		if err := Record(ctx, dead[i]); err != nil {
			t.Fatal(err)
		}
	}
	die := func(e event.Event) {
		if err := exec(t, tenantdb.Scope{}, "update platform.outbox set dead_at = now() where id = $1", e.ID); err != nil {
			t.Fatal(err)
		}
	}
	die(dead[0])
	for range 2 { // again changes nothing
		err := s.store.db.Tx(ctx, tenantdb.Scope{}, func(tx pgx.Tx) error { return ErasePerson(ctx, tx, gone) })
		if err != nil {
			t.Fatal(err)
		}
	}
	late := newStore(testDB()) // another replica, whose writers never knew the key
	fill(t, late, org, 1, tell)
	for i, e := range dead {
		if i > 0 {
			die(e)
			if err := s.store.scrub(ctx); err != nil {
				t.Fatal(err)
			}
		}
		left, err := tenantdb.Row(ctx, s.store.db, tenantdb.Scope{}, pgx.RowTo[[]byte], "delete from platform.outbox where id = $1 returning payload", e.ID)
		if err != nil || bytes.Contains(left, []byte("gone@example")) || bytes.Contains(left, []byte("192.0.2.1")) || !bytes.Contains(left, []byte(`"stays"`)) {
			t.Fatalf("what died on its way to the log: %s, %v", left, err)
		}
		var again event.Event
		if err := json.Unmarshal(left, &again); err != nil {
			t.Fatal(err)
		}
		if err := late.append(ctx, again); err != nil {
			t.Fatal(err)
		}
	}
	number(t, late, org)

	for _, e := range mustSearch(t, s.store, filter{org: &org, limit: 10}) {
		shown, err := json.Marshal(e)
		if err != nil || bytes.Contains(shown, []byte("192.0.2.1")) || bytes.Contains(shown, []byte("gone@example")) ||
			!bytes.Contains(shown, []byte("stays")) || !slices.Contains(e.Erased, "changes.email") {
			t.Errorf("%s, %v", shown, err)
		}
	}
	if r := verify(t, s, exported(t, s, org, "proofs=true"), &earlier); !r.OK() || r.Entries != 6 {
		t.Errorf("%+v", r)
	}
	// Nothing that the database still has of the person can be read.
	var all []string
	all, err = tenantdb.Rows(ctx, s.store.db, tenantdb.Org(org), pgx.RowTo[string], "select e::text from audit.events e where org_id = $1", org)
	if err != nil || len(all) != 6 || strings.Contains(strings.Join(all, ""), "gone@example") || strings.Contains(strings.Join(all, ""), "192.0.2.1") {
		t.Errorf("%v, %v", all, err)
	}
}

func mustSearch(t *testing.T, s store, f filter) []event.Event {
	t.Helper()
	found, err := s.search(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRetentionDropsPayloadsAndNoHash(t *testing.T) {
	t.Parallel()
	ctx, s, org := context.Background(), testService(t), rowid.New()
	now := time.Now()
	events := fill(t, s.store, org, 10, func(i int, e *event.Event) {
		if i < 6 {
			e.OccurredAt = now.AddDate(0, 0, -40).Truncate(time.Microsecond)
		}
	})
	earlier := checkpointOf(t, s, org)
	run := func() {
		t.Helper()
		state, err := s.store.log(ctx, org)
		if err == nil {
			err = s.store.retain(ctx, retained{Org: org, Size: state.Size}, now.AddDate(0, 0, -30))
		}
		if err != nil {
			t.Fatal(err)
		}
		deliver(t, s.store, org)
		number(t, s.store, org)
	}
	run()
	if n := len(mustSearch(t, s.store, filter{org: &org, limit: 20})); n != 11 {
		t.Fatalf("%d events: the first run announces and removes nothing", n)
	}
	run()
	run() // has nothing to do
	left := mustSearch(t, s.store, filter{org: &org, limit: 20})
	if len(left) != 5 || left[0].Action != ledger.RetentionAction {
		t.Errorf("%d events left: %+v", len(left), left)
	}
	if r := verify(t, s, exported(t, s, org, "proofs=true"), &earlier); !r.OK() || r.Pruned != 6 || r.Entries != 11 {
		t.Errorf("%+v", r)
	}
	p, err := s.proof(ctx, org, events[0].ID)
	if err != nil || p.LeafIndex != 0 {
		t.Errorf("the proof of an event without payload: %+v, %v", p, err)
	}
}

// A decision is kept for as long as an event names it.
func TestRetentionDropsDecisionsWithTheirLastEvent(t *testing.T) {
	t.Parallel()
	ctx, s, org := context.Background(), testService(t), rowid.New()
	before := time.Now().AddDate(0, 0, -30).Truncate(time.Microsecond)
	gone, shared, kept := "gone-"+org.String(), "shared-"+org.String(), "kept-"+org.String()
	decisions := []string{gone, shared, shared, kept}
	fill(t, s.store, org, len(decisions), func(i int, e *event.Event) {
		e.DecisionID = decisions[i]
		e.OccurredAt = before.Add(time.Duration(i)*time.Second - 1500*time.Millisecond) // the first two are too old
	})
	left := func() []string {
		t.Helper()
		ids, err := tenantdb.Rows(ctx, s.store.db, tenantdb.Platform(), pgx.RowTo[string],
			"select decision_id from authz.decisions where decision_id like '%' || $1::text order by 1", org.String())
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	decide := func(log uuid.UUID, id string) {
		t.Helper()
		err := exec(t, scopeOf(log), `
insert into authz.decisions (org_id, decision_id, resource_kind, resource_id, action, allowed, principal, resource,
       reasons, policy, rules, derived_roles, digest, cached)
values ($1, $2, 'org', '', 'read', true, '{}', '{}', '{}', '', '{}', '{}', '', '')`, log, id)
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{gone, shared, kept} {
		decide(org, id)
	}
	if err := s.store.prune(ctx, org, 0, 2); err != nil {
		t.Fatal(err)
	}
	if got := left(); !slices.Equal(got, []string{kept, shared}) {
		t.Errorf("left: %v", got)
	}
	if err := s.store.prune(ctx, org, 2, 3); err != nil {
		t.Fatal(err)
	}
	if got := left(); !slices.Equal(got, []string{kept}) {
		t.Errorf("left then: %v", got)
	}
	decide(uuid.Nil, gone)
	err := s.store.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error { return authz.Forget(ctx, tx, uuid.Nil, []string{gone, kept}) })
	if got := left(); err != nil || !slices.Equal(got, []string{kept}) {
		t.Errorf("of the platform's own log: %v, %v", got, err)
	}
}

// A log in which nothing happens comes to rest.
func TestRetentionAnnouncesNoAnnouncement(t *testing.T) {
	t.Parallel()
	ctx, s, org := context.Background(), testService(t), rowid.New()
	fill(t, s.store, org, 3)
	earlier := checkpointOf(t, s, org)
	run := func() {
		t.Helper()
		state, err := s.store.log(ctx, org)
		if err == nil { // everything is older than this
			err = s.store.retain(ctx, retained{Org: org, Size: state.Size}, time.Now().AddDate(0, 0, 1))
		}
		if err != nil {
			t.Fatal(err)
		}
		deliver(t, s.store, org)
		number(t, s.store, org)
	}
	for range 4 {
		run()
	}
	left := mustSearch(t, s.store, filter{org: &org, limit: 20})
	if len(left) != 1 || left[0].Seq != 4 || left[0].Action != ledger.RetentionAction {
		t.Errorf("left: %+v", left)
	}
	fill(t, s.store, org, 1)
	run()
	run()
	if left = mustSearch(t, s.store, filter{org: &org, limit: 20}); len(left) != 1 || left[0].Seq != 6 {
		t.Errorf("left then: %+v", left)
	}
	if r := verify(t, s, exported(t, s, org, "proofs=true"), &earlier); !r.OK() || r.Pruned != 5 || r.Entries != 6 {
		t.Errorf("%+v", r)
	}
}

// deliver carries what is in the outbox for one log there, as the relay and the topic do.
func deliver(t *testing.T, s store, org uuid.UUID) {
	t.Helper()
	rows, err := tenantdb.Rows(context.Background(), s.db, tenantdb.Platform(), pgx.RowTo[json.RawMessage],
		"select payload from platform.outbox where topic = $1 and payload->>'org_id' = $2", event.Topic, org.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range rows {
		var e event.Event
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		if err := s.append(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheAppCannotChangeWhatItRecorded(t *testing.T) {
	t.Parallel()
	s, org := testService(t), rowid.New()
	fill(t, s.store, org, 300)
	for _, sql := range []string{
		"update audit.events set action = 'x' where org_id = $1",
		"delete from audit.events where org_id = $1",
		"update audit.leaves set leaf_hash = sha256('') where org_id = $1",
		"delete from audit.leaves where org_id = $1",
		"update audit.nodes set hash = sha256('') where org_id = $1",
		"delete from audit.nodes where org_id = $1",
		"update audit.logs set size = size - 1 where org_id = $1",
		"delete from audit.logs where org_id = $1",
		"truncate audit.events", "truncate audit.leaves", "truncate audit.nodes", "truncate audit.logs",
	} {
		for _, scope := range []tenantdb.Scope{tenantdb.Org(org), tenantdb.Platform()} {
			var args []any
			if strings.Contains(sql, "$1") {
				args = append(args, org)
			}
			_ = exec(t, scope, sql, args...) // refused, or there are no rows that this scope may touch
		}
	}
	if r := verify(t, s, exported(t, s, org, ""), nil); !r.OK() || r.Entries != 300 || r.Pruned != 0 {
		t.Errorf("%+v", r)
	}
}

func TestAnOldVersionsEventsGetLeaves(t *testing.T) {
	t.Parallel()
	ctx, s, org := context.Background(), testService(t), rowid.New()
	id := rowid.New()
	err := exec(t, tenantdb.Org(org), `insert into audit.events (org_id, id, occurred_at, actor_id, actor_type, impersonator_id, action,
		resource_kind, resource_id, outcome, request_id, decision_id, policy_version, ip, changes)
		values ($1, $2, now(), 'u', 'user', '', 'read', 'org', '', 'allowed', '', '', '', '192.0.2.1', '{"a": 1.50}')`, org, id)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the event has its number", func() bool {
		if err := s.store.adopt(ctx); err != nil {
			t.Fatal(err)
		}
		number(t, s.store, org)
		_, ok, err := s.store.one(ctx, org, id)
		return ok && err == nil
	})
	if r := verify(t, s, exported(t, s, org, ""), nil); !r.OK() || r.Entries != 1 {
		t.Errorf("%+v", r)
	}
}

func TestProofsOfALog(t *testing.T) {
	t.Parallel()
	ctx, s, org := context.Background(), testService(t), rowid.New()
	events := fill(t, s.store, org, 270)
	before := checkpointOf(t, s, org)
	fill(t, s.store, org, 5)
	c := checkpointOf(t, s, org)
	for _, i := range []int{0, 1, 255, 256, 269} {
		p, err := s.proof(ctx, org, events[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		_, hash, _, err := s.store.leaf(ctx, org, events[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		hashes, err := s.store.tree(ctx, org, c.Size).Inclusion(p.LeafIndex)
		if err != nil || len(hashes) != len(p.Hashes) {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(hashes, c.Size, c.Root, p.LeafIndex, tlog.Hash(hash)); err != nil {
			t.Errorf("event %d: %v", i, err)
		}
	}
	proof, err := s.store.tree(ctx, org, c.Size).Consistency(before.Size)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.CheckTree(proof, c.Size, c.Root, before.Size, before.Root); err != nil {
		t.Error(err)
	}
	for _, from := range []int64{0, c.Size} {
		if got, err := s.consistency(ctx, org, from); err != nil || got.Hashes == nil || len(got.Hashes) != 0 {
			t.Errorf("from %d: %+v, %v", from, got, err)
		}
	}
	if _, err := s.proof(ctx, rowid.New(), events[0].ID); err == nil {
		t.Error("another log proves it, too")
	}
}
