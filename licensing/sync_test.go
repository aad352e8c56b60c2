package licensing

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"encore.app/authz"
	standin "encore.app/infra/devstack/stripe"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/stripesync"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

func TestALicenceFollowsItsSubscription(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	org, cus := a.customer(t)
	a.changed(t, cus) // adopted: its metadata names the organisation
	a.want(t, org, "free", 5)

	sub := a.buy(t, cus, "pro_month", 12)
	a.changed(t, cus)
	l := a.want(t, org, "pro", 12)
	if l.Source != sourceStripe || l.ValidUntil == nil {
		t.Errorf("got %+v", l)
	}
	a.do(t, "POST", "/v1/subscriptions/"+sub, "items[0][price]=price_tenantry_enterprise_year", "items[0][quantity]=40")
	a.changed(t, cus)
	a.want(t, org, "enterprise", 40)

	a.buy(t, cus, "addon_sso_month", 1)
	a.buy(t, cus, "pro_month", 99) // the lesser of two tiers does not count
	a.changed(t, cus)
	if l := a.want(t, org, "enterprise", 40); !l.Flags["sso"] {
		t.Errorf("the addon is not there: %+v", l)
	}
	a.do(t, "DELETE", "/v1/subscriptions/"+sub)
	a.changed(t, cus)
	a.want(t, org, "pro", 99)
	a.do(t, "DELETE", "/v1/customers/"+cus)
	a.changed(t, cus)
	if l := a.want(t, org, "free", 5); l.Source != sourceDefault || len(l.Flags) != 0 {
		t.Errorf("got %+v", l)
	}
	a.changed(t, cus)
	if n := len(told(t, a.store, org, "license:sync")); n != 5 {
		t.Errorf("told %d times of five changes", n)
	}
}

func TestRenewalsFailuresAndEndsAreFollowed(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	org, cus := a.customer(t)
	sub := a.buy(t, cus, "pro_month", 3)
	a.changed(t, cus)
	first := *a.want(t, org, "pro", 3).ValidUntil

	a.Advance(first.Add(time.Hour))
	a.changed(t, cus)
	second := *a.want(t, org, "pro", 3).ValidUntil
	if !second.After(first) {
		t.Errorf("renewed from %s to %s", first, second)
	}
	// An invoice that is not paid: what was paid for counts, and then the grace.
	a.do(t, "POST", "/v1/customers/"+cus, "metadata["+standin.PaymentFails+"]=yes")
	a.Advance(second.Add(time.Hour))
	a.changed(t, cus)
	if l := a.want(t, org, "pro", 3); !l.ValidUntil.Equal(second) {
		t.Errorf("paid until %s, counted until %s", second, l.ValidUntil)
	}
	a.do(t, "POST", "/v1/customers/"+cus, "metadata["+standin.PaymentFails+"]=")
	a.do(t, "POST", "/v1/subscriptions/"+sub, "cancel_at_period_end=true")
	a.Advance(second.AddDate(0, 2, 0))
	a.changed(t, cus)
	a.want(t, org, "free", 5)
}

// Stripe lists a hundred at once, and ten items of a subscription.
func TestPagesAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	org, cus := a.customer(t)
	a.buy(t, cus, "enterprise_month", 77) // the oldest: on the last page
	for range 130 {
		a.buy(t, cus, "pro_month", 1)
	}
	a.changed(t, cus)
	a.want(t, org, "enterprise", 77)

	org, cus = a.customer(t)
	var items []string
	for i := range 24 {
		items = append(items, fmt.Sprintf("items[%d][price]=price_tenantry_addon_sso_month", i))
	}
	items = append(items, "items[24][price]=price_tenantry_pro_year", "items[24][quantity]=8")
	a.do(t, "POST", "/v1/subscriptions", append(items, "customer="+cus)...)
	a.changed(t, cus)
	if l := a.want(t, org, "pro", 8); !l.Flags["sso"] {
		t.Errorf("got %+v", l)
	}
}

func TestAnOutageKeepsTheLastKnownLicence(t *testing.T) {
	t.Parallel()
	ctx, a := context.Background(), newAccount(t)
	org, cus := a.customer(t)
	sub := a.buy(t, cus, "pro_month", 4)
	a.changed(t, cus)
	a.Outage(true)
	a.changed(t, cus)
	a.want(t, org, "pro", 4)
	st, err := a.queue().Statuses(ctx, uuid.Nil, 10)
	if err != nil || len(st) != 1 || st[0].Error != "stripe answered 503" || st[0].FailedAt == nil || st[0].Attempts != 1 || stateOf(st[0]) != "failing" {
		t.Fatalf("got %+v, %v", st, err)
	}
	a.Outage(false)
	a.do(t, "DELETE", "/v1/subscriptions/"+sub)
	a.drain(t)
	a.want(t, org, "pro", 4) // it backs off
	exec(t, a.store, tenantdb.Platform(), "update licensing.sync_queue set due_at = now()")
	a.drain(t)
	a.want(t, org, "free", 5)
	if st, err = a.queue().Statuses(ctx, uuid.Nil, 10); err != nil || stateOf(st[0]) != "synced" || st[0].Lag != 0 || st[0].Error != "" {
		t.Errorf("got %+v, %v", st, err)
	}
}

// held is a worker that stops between asking Stripe and applying the answer.
type held struct {
	store
	reached, goOn chan struct{}
}

func (h held) Exists(ctx context.Context, tx pgx.Tx, org uuid.UUID) (bool, error) {
	close(h.reached)
	<-h.goOn
	return h.store.Exists(ctx, tx, org)
}

// A worker that lost its lease while it slept applies nothing, however late it wakes up.
func TestALateWorkerAppliesNothing(t *testing.T) {
	t.Parallel()
	ctx, a := context.Background(), newAccount(t)
	org, cus := a.customer(t)
	h := held{store: a.store, reached: make(chan struct{}), goOn: make(chan struct{})}
	sleepy := stripesync.NewWorker(stripesync.WorkerConfig{Queue: a.queue(), Stripe: a.client, Licences: h})
	if _, err := a.queue().Receive(ctx, stripesync.Event{ID: "evt_1", Type: "t", Customer: cus}); err != nil {
		t.Fatal(err)
	}
	woken := make(chan error)
	go func() {
		_, err := sleepy.Step(ctx)
		woken <- err
	}()
	<-h.reached
	if worked, err := a.worker.Step(ctx); err != nil || worked {
		t.Fatalf("two workers hold one customer: %v, %v", worked, err)
	}
	exec(t, a.store, tenantdb.Platform(), "update licensing.sync_queue set leased_until = now()")
	a.buy(t, cus, "pro_month", 6)
	a.drain(t)
	a.want(t, org, "pro", 6)
	close(h.goOn)
	if err := <-woken; err != nil {
		t.Fatal(err)
	}
	a.want(t, org, "pro", 6)
	if n := len(told(t, a.store, org, "license:sync")); n != 1 {
		t.Errorf("told %d times of one change", n)
	}
}

func TestAChangeDuringTheWorkIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	ctx, a := context.Background(), newAccount(t)
	org, cus := a.customer(t)
	h := held{store: a.store, reached: make(chan struct{}), goOn: make(chan struct{})}
	slow := stripesync.NewWorker(stripesync.WorkerConfig{Queue: a.queue(), Stripe: a.client, Licences: h})
	receive := func(id string) {
		t.Helper()
		if _, err := a.queue().Receive(ctx, stripesync.Event{ID: id, Type: "t", Customer: cus}); err != nil {
			t.Fatal(err)
		}
	}
	receive("evt_1")
	done := make(chan error)
	go func() {
		_, err := slow.Step(ctx)
		done <- err
	}()
	<-h.reached
	receive("evt_2")
	close(h.goOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := value[int](t, a.store, tenantdb.Platform(), "select count(*)::int from licensing.sync_queue"); n != 1 {
		t.Errorf("%d customers are dirty", n)
	}
	a.buy(t, cus, "pro_month", 2)
	a.drain(t)
	a.want(t, org, "pro", 2)
}

// A key of another account, or one that was emptied, says nothing about anybody's licence.
func TestAnotherAccountEndsNoLicence(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	org, cus := a.customer(t)
	a.buy(t, cus, "pro_month", 4)
	a.changed(t, cus)
	exec(t, a.store, tenantdb.Platform(), "update licensing.customers set customer_id = 'cus_elsewhere'")
	a.changed(t, "cus_elsewhere")
	a.want(t, org, "pro", 4)
	st, err := a.queue().Statuses(context.Background(), uuid.Nil, 10)
	if err != nil || len(st) != 1 || st[0].Error != "stripe answered 404 resource_missing" {
		t.Errorf("got %+v, %v", st, err)
	}
}

// An addon without a tier ends like a tier, should Stripe say nothing more.
func TestAnAddonAloneHasItsEndToo(t *testing.T) {
	t.Parallel()
	ctx, a := context.Background(), newAccount(t)
	org, cus := a.customer(t)
	a.buy(t, cus, "addon_sso_month", 1)
	a.changed(t, cus)
	l := a.want(t, org, "free", 5)
	if !l.Flags["sso"] || l.Source != sourceStripe || l.ValidUntil == nil {
		t.Fatalf("got %+v", l)
	}
	late := a.store
	late.now = func() time.Time { return l.ValidUntil.Add(late.catalogue.Grace) }
	has, err := late.entitlements(ctx, org)
	if err != nil || has.Features["sso"] {
		t.Errorf("after its grace: %+v, %v", has, err)
	}
	exec(t, a.store, tenantdb.Platform(), "update licensing.licenses set review_at = now()")
	if ok, err := late.review(ctx); err != nil || !ok {
		t.Fatalf("reviewed %v, %v", ok, err)
	}
	if n := len(told(t, a.store, org, "license:expire")); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// erased does to an organisation what its erasure does to it and to what licensing holds of it.
func erased(t testing.TB, s store, org uuid.UUID, meanwhile func(tx pgx.Tx)) {
	t.Helper()
	ctx := context.Background()
	err := s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "update orgs.orgs set status = 'suspended', erased_at = now(), slug = 'erased-' || id where id = $1", org); err != nil {
			return err
		}
		if err := eraseOrg(ctx, tx, org); err != nil {
			return err
		}
		if meanwhile != nil {
			meanwhile(tx)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// nothingOf wants nothing of an organisation in licensing, and nobody who waits to be looked at.
func nothingOf(t testing.TB, s store, org uuid.UUID) {
	t.Helper()
	for _, table := range []string{"customers", "licenses", "usage", "drifts"} {
		if n := value[int](t, s, tenantdb.Org(org), "select count(*)::int from licensing."+table+" where org_id = $1", org); n != 0 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
	if n := value[int](t, s, tenantdb.Platform(), "select count(*)::int from licensing.sync_queue"); n != 0 {
		t.Errorf("%d customers are dirty", n)
	}
}

// Stripe keeps the customer and its subscriptions; nothing of that makes the organisation come back.
func TestAnErasedOrganisationStaysErased(t *testing.T) {
	t.Parallel()
	ctx, a := context.Background(), newAccount(t)
	org, cus := a.customer(t)
	a.buy(t, cus, "pro_month", 6)
	a.changed(t, cus)
	a.want(t, org, "pro", 6)
	erased(t, a.store, org, nil)
	a.changed(t, cus)
	nothingOf(t, a.store, org)
	if r := a.reconciled(t); r.Customers != 1 || r.Drifted != 0 {
		t.Errorf("reconciled %+v", r)
	}
	nothingOf(t, a.store, org)
	if err := a.store.existing(ctx, org); fault.DetailsOf(err).Reason != fault.NotFoundReason {
		t.Errorf("it is there: %v", err)
	}
	if _, err := a.store.newCustomer(ctx, a.client, stripesync.Customer{OrgID: org}); fault.DetailsOf(err).Reason != fault.NotFoundReason {
		t.Errorf("it is a customer again: %v", err)
	}
	nothingOf(t, a.store, org)
}

// Whoever is at it while the organisation is erased comes too late.
func TestAnOrganisationIsErasedWhileItsLicenceChanges(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	missing := func(err error) bool { return fault.DetailsOf(err).Reason == fault.NotFoundReason }
	for name, c := range map[string]struct {
		known  bool
		change func(a *account, org uuid.UUID) error
		want   func(error) bool
	}{
		"synchronised": {true, func(a *account, _ uuid.UUID) error { _, err := a.worker.Step(ctx); return err }, nil},
		"adopted":      {false, func(a *account, _ uuid.UUID) error { _, err := a.worker.Step(ctx); return err }, nil},
		"granted": {false, func(a *account, org uuid.UUID) error {
			_, err := a.store.grant(ctx, license{OrgID: org, Tier: "pro", Seats: 3, Source: sourceManual}, 0, authz.Decision{})
			return err
		}, missing},
		"made a customer": {false, func(a *account, org uuid.UUID) error {
			_, err := a.store.newCustomer(ctx, a.client, stripesync.Customer{OrgID: org})
			return err
		}, missing},
		"made another customer": {true, func(a *account, org uuid.UUID) error {
			c, _, err := stripesync.CustomerOf(ctx, a.store.db, org)
			if err == nil {
				_, err = a.store.newCustomer(ctx, a.client, c)
			}
			return err
		}, missing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			org, cus := a.customer(t)
			if c.known {
				a.changed(t, cus)
			}
			a.buy(t, cus, "pro_month", 6)
			if c.want == nil {
				if _, err := a.queue().Receive(ctx, stripesync.Event{ID: "evt_1", Type: "t", Customer: cus}); err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan error, 1)
			erased(t, a.store, org, func(tx pgx.Tx) {
				go func() { done <- c.change(a, org) }()
				untilBlocking(t, tx)
			})
			if err := <-done; c.want == nil && err != nil || c.want != nil && !c.want(err) {
				t.Errorf("ended with %v", err)
			}
			nothingOf(t, a.store, org)
			if tier, _ := projected(t, a.store, org); tier != "free" {
				t.Errorf("the tombstone has %s", tier)
			}
		})
	}
}

// An erasure waits for whoever changes what licensing holds, at the first row that they take, and they
// not for it; whoever comes later waits for the erasure with nothing in hand.
func TestAnErasureLocksInTheOrderOfTheWorkers(t *testing.T) {
	t.Parallel()
	ctx, a := context.Background(), newAccount(t)
	org, cus := a.customer(t)
	a.buy(t, cus, "pro_month", 6)
	a.changed(t, cus)
	if err := a.store.meter(ctx, org, "exports_per_day", 1); err != nil {
		t.Fatal(err)
	}
	for _, first := range []string{"usage", "customers", "licenses"} {
		done := make(chan error, 1)
		err := a.store.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "select from licensing."+first+" where org_id = $1 for update", org); err != nil {
				return err
			}
			go func() {
				done <- a.store.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error { return lockOrg(ctx, tx, org) })
			}()
			untilBlocking(t, tx)
			if first == "usage" { // whoever admits something adds it, which refers to the organisation
				return a.store.stands(ctx, tx, org)
			}
			_, err := a.store.lock(ctx, tx, org)
			return err
		})
		if err := errors.Join(err, <-done); err != nil {
			t.Errorf("%s: %v", first, err)
		}
	}
	deleted, _, err := stripesync.CustomerOf(ctx, a.store.db, org)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	err = a.store.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
		if err := lockOrg(ctx, tx, org); err != nil {
			return err
		}
		go func() {
			_, err := a.store.newCustomer(ctx, a.client, deleted)
			done <- err
		}()
		untilBlocking(t, tx)
		_, err := tx.Exec(ctx, "select from orgs.orgs where id = $1 for update", org)
		return err
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Errorf("another customer: %v", err)
	}
}

// What lapsed may have hidden something less that is paid, of which Stripe has nothing new to tell. Whoever
// dies before that is noted leaves the licence to the next.
func TestWhatStripeSoldIsLookedAtAgainWhenItLapses(t *testing.T) {
	t.Parallel()
	ctx, a := context.Background(), newAccount(t)
	org, cus := a.customer(t)
	a.buy(t, cus, "pro_month", 4)
	a.changed(t, cus)
	exec(t, a.store, tenantdb.Platform(), `update licensing.licenses
		set tier = 'enterprise', seats = 9, valid_until = now() - $2::interval, review_at = now() where org_id = $1`, org, a.store.catalogue.Grace)
	errDied, backend := errors.New("died"), 0
	err := a.store.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "insert into licensing.sync_queue (customer_id, reason) values ($1, 'webhook')", cus); err != nil {
			return err
		}
		dying, die := context.WithCancel(ctx)
		defer die()
		done := make(chan error, 1)
		go func() {
			_, err := a.store.review(dying)
			done <- err
		}()
		backend = untilBlocking(t, tx)
		die()
		return errors.Join(errDied, <-done)
	})
	untilGone(t, a.store, backend)
	if !errors.Is(err, errDied) || !errors.Is(err, context.Canceled) {
		t.Fatalf("the first to review it ended with %v", err)
	}
	if ok, err := a.store.review(ctx); err != nil || !ok {
		t.Fatalf("reviewed %v, %v", ok, err)
	}
	if tier, _ := projected(t, a.store, org); tier != "free" {
		t.Errorf("lapsed to %s", tier)
	}
	a.drain(t)
	a.want(t, org, "pro", 4)
	if ok, err := a.store.review(ctx); err != nil || ok {
		t.Errorf("reviewed again: %v, %v", ok, err)
	}
}
