package audit

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"encore.app/infra/platform/broker"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// All sinks of an organisation hang, as many as it may have; another one's events do not wait for them.
func TestSinksThatHangDelayNobody(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release) // before the server waits for its handlers
	hanging := receive(t, nil, func(int) int { <-release; return http.StatusOK })
	for range maxSinks - 1 {
		row := sinkRow{OrgID: hanging.org, ID: rowid.New(), URL: hanging.row(t).URL}
		if _, err := hanging.sinks.store.create(context.Background(), row, hanging.key, newEvent(hanging.org)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { hanging.sql(t, "delete from audit.sinks where org_id = $1", hanging.org) })
	hanging.emit(t, 3*perSink, "project")
	const most = maxSinks * perSink
	eventually(t, "they hang", func() bool { return hanging.calls() >= most })
	quick := receive(t, nil, ok)
	ids := quick.emit(t, 50, "project")
	eventually(t, "the other has everything", func() bool { return len(quick.received()) == len(ids) })
	// Had one been cut off meanwhile, its place had been taken.
	if n := hanging.calls(); n != most {
		t.Errorf("%d deliveries to %d sinks at once, want %d", n, maxSinks, most)
	}
}

// A sink whose events cannot be fanned out holds up no other. Not parallel: it changes a table under
// everybody's feet.
func TestASinkThatCannotBeMovedOnHoldsUpNoOther(t *testing.T) {
	ownsTables(t)
	broken := receive(t, nil, ok)
	broken.sql(t, `
create function audit.break_sink() returns trigger language plpgsql as $$
begin
    raise exception 'this one cannot be moved on';
end $$`)
	broken.sql(t, "create trigger break_sink before insert on audit.deliveries for each row when (new.sink_id = '"+broken.sink.String()+"') execute function audit.break_sink()")
	t.Cleanup(func() { broken.sql(t, "drop function audit.break_sink cascade") })
	broken.emit(t, 3, "project")
	for range 5 { // chance puts some of them behind it in a round
		other := receive(t, nil, ok)
		other.emit(t, 1, "project")
		eventually(t, "the other has its event", func() bool { return other.calls() == 1 })
	}
	if n := broken.calls(); n != 0 {
		t.Errorf("it cannot be moved on and was called %d times", n)
	}
}

// That an event cannot be read is no failure of the receiver's, and nothing of ours is told of it.
func TestAFailureOfOurOwnIsNotTheReceivers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := receive(t, []string{"nothing.ever"}, ok) // so that nobody else delivers
	away, err := pgxpool.NewWithConfig(ctx, testDB().Pool().Config())
	if err != nil {
		t.Fatal(err)
	}
	away.Close()
	s := &sinks{store: r.sinks.store, events: newStore(tenantdb.New(away)), turns: make(chan struct{}, 1)}
	h := hint{OrgID: r.org, ID: rowid.New(), SinkID: r.sink, Lease: 1, Attempt: 1}
	r.sql(t, `insert into audit.deliveries (org_id, id, sink_id, event_id, seq, state, lease, due_at)
values ($1, $2, $3, $2, 1, 'queued', 1, now() + interval '1 hour')`, h.OrgID, h.ID, h.SinkID)
	body, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.deliver(ctx, broker.Message{Body: body, Attempt: 1}); err != nil {
		t.Error(err)
	}
	if row, d := r.row(t), r.log(t, "")[0]; row.Failures != 0 || d.Attempts != 0 || d.Error != "" || d.Status != "pending" {
		t.Errorf("%d failures of the sink, delivery %+v", row.Failures, d)
	}
	if r.calls() != 0 {
		t.Error("something was sent")
	}
}

// What a topic had waiting is not shown for ever once it is empty.
func TestAQueueThatIsEmptyAgainIsMeasuredAsEmpty(t *testing.T) {
	t.Parallel()
	ctx, db, topic := context.Background(), testDB(), "t-"+rowid.New().String()
	id := add(t, db, topic)
	s := &sinks{store: testSinks().store, broker: testSinks().broker}
	depth := func() float64 {
		s.measure(ctx)
		return testutil.ToFloat64(queueDepth.WithLabelValues(topic))
	}
	eventually(t, "one waits", func() bool { return depth() == 1 })
	if err := db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error { return outbox.Settle(ctx, tx, id) }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "none waits", func() bool { return depth() == 0 })
}
