package licensing

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"encore.app/authz"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/stripesync"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// reconciled runs a reconciliation to its end and answers its report.
func (a *account) reconciled(t testing.TB) reconciliation {
	t.Helper()
	ctx := context.Background()
	if err := a.store.reconcile(ctx, a.client); err != nil {
		t.Fatal(err)
	}
	if err := a.store.conclude(ctx); err != nil {
		t.Fatal(err)
	}
	if r := a.newest(t); r.FinishedAt != nil {
		t.Fatalf("it ended before it began: %+v", r)
	}
	a.drain(t)
	if err := a.store.conclude(ctx); err != nil {
		t.Fatal(err)
	}
	return a.newest(t)
}

func (a *account) newest(t testing.TB) reconciliation {
	t.Helper()
	rows, err := a.store.reconciliations(context.Background(), endOfIDs, 1)
	if err != nil || len(rows) != 1 {
		t.Fatalf("got %+v, %v", rows, err)
	}
	return rows[0]
}

func TestAReconciliationFindsWhatNobodyTold(t *testing.T) {
	t.Parallel()
	ctx, a := context.Background(), newAccount(t)
	known, cus := a.customer(t)
	a.changed(t, cus)
	a.buy(t, cus, "pro_month", 5)
	unknown, other := a.customer(t)
	a.buy(t, other, "enterprise_month", 6)
	stranger := a.do(t, "POST", "/v1/customers", "metadata[org_id]=00000000-0000-7000-8000-00000000dead")["id"].(string)
	a.buy(t, stranger, "pro_month", 1)
	byHand, manual := a.customer(t)
	a.changed(t, manual)
	if _, err := a.store.grant(ctx, license{OrgID: byHand, Tier: "pro", Flags: map[string]bool{}, Seats: 2, Source: sourceManual}, 0, authz.Decision{}); err != nil {
		t.Fatal(err)
	}
	a.buy(t, manual, "enterprise_month", 9)

	first := a.reconciled(t)
	if first.Customers != 4 || first.Drifted != 2 || first.Unchecked != 0 || first.FinishedAt == nil {
		t.Errorf("reported %+v", first)
	}
	a.want(t, known, "pro", 5)
	a.want(t, unknown, "enterprise", 6)
	a.want(t, byHand, "pro", 2)
	for _, org := range []uuid.UUID{known, unknown} {
		events := told(t, a.store, org, "license:sync")
		if len(events) != 1 {
			t.Fatalf("told %d times of one drift", len(events))
		}
		var what struct{ Drift bool }
		if err := json.Unmarshal(events[0].Changes, &what); err != nil || !what.Drift || events[0].Actor.Type != "system" {
			t.Errorf("told %s by %+v", events[0].Changes, events[0].Actor)
		}
	}
	rows, err := a.store.drifts(ctx, first.ID, uuid.Nil, 10)
	if err != nil || len(rows) != 2 || rows[0].OrgID != known || rows[1].OrgID != unknown || rows[1].CustomerID != other {
		t.Fatalf("reported %+v, %v", rows, err)
	}
	var before, after struct{ Tier string }
	if err := errors.Join(json.Unmarshal(rows[1].Before, &before), json.Unmarshal(rows[1].After, &after)); err != nil ||
		before.Tier != "free" || after.Tier != "enterprise" {
		t.Errorf("reported %s to %s, %v", rows[1].Before, rows[1].After, err)
	}
	if again := a.reconciled(t); again.ID == first.ID || again.Drifted != 0 || again.Customers != 4 {
		t.Errorf("reported %+v", again)
	}
	if n := len(told(t, a.store, known, "license:sync")); n != 1 {
		t.Errorf("the same again was told: %d", n)
	}
	for _, action := range []string{"billing:reconcile", "billing:reconciled"} {
		if n := len(told(t, a.store, uuid.Nil, action)); n != 2 {
			t.Errorf("%s is %d times in the platform's log", action, n)
		}
	}
}

// What Stripe did not answer about is said, and the next reconciliation takes it over.
func TestAnOutageLeavesCustomersUnchecked(t *testing.T) {
	t.Parallel()
	ctx, a := context.Background(), newAccount(t)
	_, cus := a.customer(t)
	a.changed(t, cus)
	if err := a.store.reconcile(ctx, a.client); err != nil {
		t.Fatal(err)
	}
	a.Outage(true)
	a.drain(t)
	if err := a.store.conclude(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.store.reconcile(ctx, a.client); err == nil {
		t.Error("a reconciliation began without Stripe")
	}
	a.Outage(false)
	if err := a.store.reconcile(ctx, a.client); err != nil {
		t.Fatal(err)
	}
	rows, err := a.store.reconciliations(ctx, endOfIDs, 10)
	if err != nil || len(rows) != 2 || rows[1].Unchecked != 1 || rows[1].FinishedAt == nil || rows[0].FinishedAt != nil {
		t.Fatalf("got %+v, %v", rows, err)
	}
	exec(t, a.store, tenantdb.Platform(), "update licensing.sync_queue set due_at = now()")
	a.drain(t)
	if err := a.store.conclude(ctx); err != nil {
		t.Fatal(err)
	}
	if r := a.newest(t); r.FinishedAt == nil || r.Unchecked != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestDeliveriesAndReportsAreForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), private(t)
	q := stripesync.Queue{DB: s.db}
	for _, id := range []string{"evt_old", "evt_new"} {
		if _, err := q.Receive(ctx, stripesync.Event{ID: id, Type: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, s, tenantdb.Platform(), "update licensing.stripe_events set received_at = now() - interval '31 days' where id = 'evt_old'")
	for _, old := range []string{"2 years", "1 day"} {
		exec(t, s, tenantdb.Platform(), "insert into licensing.reconciliations (id, customers, started_at, finished_at) values (gen_random_uuid(), 0, now() - $1::interval, now())", old)
	}
	if err := s.forget(ctx); err != nil {
		t.Fatal(err)
	}
	left, err := tenantdb.Rows(ctx, s.db, tenantdb.Platform(), pgx.RowTo[string], "select id from licensing.stripe_events")
	if err != nil || len(left) != 1 || left[0] != "evt_new" {
		t.Errorf("left %v, %v", left, err)
	}
	if rows, err := s.reconciliations(ctx, endOfIDs, 10); err != nil || len(rows) != 1 {
		t.Errorf("left %+v, %v", rows, err)
	}
}

// A worker holds a customer's mark and then notes its drift; whoever begins the next reconciliation
// meanwhile waits for it, and it for nobody.
func TestAReconciliationThatTakesOverWaitsForAWorker(t *testing.T) {
	t.Parallel()
	ctx, a := context.Background(), newAccount(t)
	org, cus := a.customer(t)
	_, other := a.customer(t)
	a.changed(t, cus)
	a.changed(t, other)
	if err := a.store.reconcile(ctx, a.client); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	err := a.store.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "delete from licensing.sync_queue where customer_id = $1", cus); err != nil {
			return err
		}
		go func() { done <- a.store.reconcile(ctx, a.client) }()
		untilBlocking(t, tx)
		_, err := a.store.Apply(ctx, tx, org, stripesync.Grant{Tier: "pro", Seats: 3, ValidUntil: time.Now().Add(time.Hour)}, stripesync.Reconciliation)
		return err
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	rows, err := a.store.reconciliations(ctx, endOfIDs, 10)
	if err != nil || len(rows) != 2 {
		t.Fatalf("got %+v, %v", rows, err)
	}
	if first := rows[1]; first.FinishedAt == nil || first.Drifted != 1 || first.Unchecked != 1 {
		t.Errorf("the first: %+v", first)
	}
	if next := rows[0]; next.FinishedAt != nil || next.Customers != 1 || next.Drifted != 0 {
		t.Errorf("the next: %+v", next)
	}
}
