package licensing

import (
	"context"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/stripesync"
	"encore.dev/et"
	"encore.dev/storage/sqldb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// fixture is the database that the services of this test binary share, with a clock that a test sets.
func fixture(t testing.TB) store {
	t.Helper()
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// private is a database of the test's own, for what works on every organisation there is.
func private(t testing.TB) store {
	t.Helper()
	s := fixture(t)
	db, err := et.NewTestDatabase(context.Background(), "tenantry")
	if err != nil {
		t.Fatal(err)
	}
	s.db = tenantdb.New(sqldb.Driver[*pgxpool.Pool](db))
	return s
}

func exec(t testing.TB, s store, scope tenantdb.Scope, sql string, args ...any) {
	t.Helper()
	err := s.db.Tx(context.Background(), scope, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), sql, args...)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func value[T any](t testing.TB, s store, scope tenantdb.Scope, sql string, args ...any) T {
	t.Helper()
	v, err := tenantdb.Row(context.Background(), s.db, scope, pgx.RowTo[T], sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func newOrg(t testing.TB, s store) uuid.UUID {
	t.Helper()
	org := rowid.New()
	exec(t, s, tenantdb.Platform(), "insert into orgs.orgs (id, slug, name) values ($1, $2, 'Test')", org, "t"+org.String())
	return org
}

// projected is what the organisation itself says its licence is.
func projected(t testing.TB, s store, org uuid.UUID) (tier string, seats int) {
	t.Helper()
	return value[string](t, s, tenantdb.Org(org), "select license_tier from orgs.orgs where id = $1", org),
		value[int](t, s, tenantdb.Org(org), "select seats from orgs.orgs where id = $1", org)
}

// told are the audit events of the organisation's licence that wait in the outbox or the log.
func told(t testing.TB, s store, org uuid.UUID, action string) []event.Event {
	t.Helper()
	payloads, err := tenantdb.Rows(context.Background(), s.db, tenantdb.Platform(), pgx.RowTo[json.RawMessage],
		"select payload from platform.outbox where topic = $1 and payload->>'org_id' = $2 and payload->>'action' = $3 order by id",
		event.Topic, org.String(), action)
	if err != nil {
		t.Fatal(err)
	}
	events := make([]event.Event, len(payloads))
	for i, p := range payloads {
		if err := json.Unmarshal(p, &events[i]); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

func epochOf(t testing.TB, s store, org uuid.UUID) int {
	t.Helper()
	return value[int](t, s, tenantdb.Platform(), "select coalesce((select epoch from authz.epochs where subject = $1), 0)::int", org)
}

func TestALicenceGrantedByHandCountsAtOnce(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), private(t)
	org := newOrg(t, s)
	want := license{OrgID: org, Tier: "pro", Flags: map[string]bool{"beta": true}, Seats: 7, Source: sourceManual}
	got, err := s.grant(ctx, want, 0, authz.Decision{})
	if err != nil || !got.same(want) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if tier, seats := projected(t, s, org); tier != "pro" || seats != 7 {
		t.Errorf("the organisation has %s with %d seats", tier, seats)
	}
	if epochOf(t, s, org) != 1 {
		t.Error("the epoch did not move")
	}
	has, err := s.entitlements(ctx, org)
	if err != nil || has.Tier != "pro" || !has.Features["beta"] || !has.Features["audit_export"] || has.Limits["seats"] != 7 {
		t.Errorf("got %+v, %v", has, err)
	}
	again, err := s.grant(ctx, want, got.Version, authz.Decision{})
	if err != nil || again.Version != got.Version || epochOf(t, s, org) != 1 || len(told(t, s, org, "update")) != 1 {
		t.Errorf("the same again was a change: %+v, %v, told %d times", again, err, len(told(t, s, org, "update")))
	}
	want.Seats = 8
	if _, err := s.grant(ctx, want, got.Version+1, authz.Decision{}); fault.DetailsOf(err).Reason != fault.VersionConflict {
		t.Errorf("another version: %v", err)
	}
	if e := told(t, s, org, "update")[0]; e.Resource.Kind != "license" || !json.Valid(e.Changes) {
		t.Errorf("told %+v", e)
	}
}

func TestALicencePastItsGraceIsWorthTheFreeTier(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), private(t)
	org, start := newOrg(t, s), time.Now().UTC().Truncate(time.Second)
	end := start.Add(time.Hour)
	s.now = func() time.Time { return start }
	if _, err := s.grant(ctx, license{OrgID: org, Tier: "enterprise", Flags: map[string]bool{"sso": true}, Seats: 50, ValidUntil: &end, Source: sourceManual}, 0, authz.Decision{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at          time.Time
		state, tier string
		seats       int64
		flag        bool
	}{
		{start, stateActive, "enterprise", 50, true},
		{end, stateGrace, "enterprise", 50, true},
		{end.Add(s.catalogue.Grace - time.Second), stateGrace, "enterprise", 50, true},
		{end.Add(s.catalogue.Grace), stateExpired, "free", 5, false},
	} {
		s.now = func() time.Time { return c.at }
		has, err := s.entitlements(ctx, org)
		if err != nil || has.Tier != c.tier || has.Limits["seats"] != c.seats || has.Features["sso"] != c.flag {
			t.Errorf("at %s: %+v, %v", c.at, has, err)
		}
		l, err := s.of(ctx, tenantdb.Org(org), org)
		if err != nil || s.payload(l).Status != c.state || s.payload(l).Tier != c.tier {
			t.Errorf("at %s: %+v, %v", c.at, s.payload(l), err)
		}
	}
	// Nothing asks; the review tells policies and memberships all the same, once.
	exec(t, s, tenantdb.Platform(), "update licensing.licenses set review_at = now() where org_id = $1", org)
	for range 3 {
		if _, err := s.review(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if tier, seats := projected(t, s, org); tier != "free" || seats != 5 {
		t.Errorf("the organisation has %s with %d seats", tier, seats)
	}
	if n := len(told(t, s, org, "license:expire")); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func TestALicenceWrittenPastThisCodeCountsAfterItsReview(t *testing.T) {
	t.Parallel()
	s := private(t)
	org := newOrg(t, s)
	exec(t, s, tenantdb.Org(org), "insert into licensing.licenses (org_id, tier, seats, source) values ($1, 'pro', 9, 'manual')", org)
	if ok, err := s.review(context.Background()); err != nil || !ok {
		t.Fatalf("nothing was reviewed: %v", err)
	}
	if tier, seats := projected(t, s, org); tier != "pro" || seats != 9 {
		t.Errorf("the organisation has %s with %d seats", tier, seats)
	}
	if ok, err := s.review(context.Background()); err != nil || ok {
		t.Errorf("it was reviewed twice: %v", err)
	}
}

func TestStripeHasNoSayInALicenceGrantedByHand(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), private(t)
	org := newOrg(t, s)
	bought := stripesync.Grant{Tier: "enterprise", Features: map[string]bool{}, Seats: 70, ValidUntil: time.Now().UTC().Add(time.Hour).Truncate(time.Second)}
	apply := func() (changed bool) {
		t.Helper()
		err := s.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) (err error) {
			changed, err = s.Apply(ctx, tx, org, bought, stripesync.Webhook)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	if !apply() || apply() {
		t.Fatal("the first should count, the second should not")
	}
	if _, err := s.grant(ctx, license{OrgID: org, Tier: "pro", Flags: map[string]bool{}, Seats: 3, Source: sourceManual}, 0, authz.Decision{}); err != nil {
		t.Fatal(err)
	}
	if apply() {
		t.Error("Stripe overwrote it")
	}
	if tier, seats := projected(t, s, org); tier != "pro" || seats != 3 {
		t.Errorf("the organisation has %s with %d seats", tier, seats)
	}
	back, err := s.revoke(ctx, org, authz.Decision{})
	if err != nil || back.Source != sourceDefault || back.Tier != "free" {
		t.Fatalf("got %+v, %v", back, err)
	}
	if !apply() {
		t.Error("Stripe has no say after it was taken back")
	}
	if n := len(told(t, s, org, "license:sync")); n != 2 {
		t.Errorf("told %d times of two changes", n)
	}
}

func TestOverridesStandBetweenEnvironmentAndTier(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), private(t)
	org := newOrg(t, s)
	var err error
	if s.env, err = s.catalogue.ParseLayer("exports_per_day=1,projects=2,priority_support=true"); err != nil {
		t.Fatal(err)
	}
	set := func(name, value string) {
		exec(t, s, tenantdb.Platform(), "insert into licensing.overrides (name, value) values ($1, $2)", name, value)
	}
	set("projects", "3")
	set("api_keys", "4")
	set("of_a_newer_build", "5")
	free, err := s.entitlements(ctx, org)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"exports_per_day": 1, "projects": 3, "seats": 5, "api_keys": 4}
	if !maps.Equal(free.Limits, want) || !free.Features["priority_support"] {
		t.Errorf("free: %+v", free)
	}
	if _, err := s.grant(ctx, license{OrgID: org, Tier: "pro", Flags: map[string]bool{"priority_support": false}, Seats: 1, Source: sourceManual}, 0, authz.Decision{}); err != nil {
		t.Fatal(err)
	}
	pro, err := s.entitlements(ctx, org)
	if err != nil || pro.Limits["projects"] != 10000 || pro.Limits["api_keys"] != 50 || pro.Limits["seats"] != 1 || pro.Features["priority_support"] {
		t.Errorf("pro: %+v, %v", pro, err)
	}
}

// A licence may say more of one limit than its tier does; that ends with it.
func TestALicenceHasLimitsOfItsOwn(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), private(t)
	org, end := newOrg(t, s), time.Now().UTC().Truncate(time.Second).Add(time.Hour)
	want := license{OrgID: org, Tier: "pro", Seats: 3, Limits: map[string]int64{"projects": 7, "of_a_newer_build": 1}, ValidUntil: &end, Source: sourceManual}
	got, err := s.grant(ctx, want, 0, authz.Decision{})
	if err != nil || got.Limits["projects"] != 7 {
		t.Fatalf("got %+v, %v", got, err)
	}
	again, err := s.grant(ctx, want, 0, authz.Decision{})
	if err != nil || again.Version != got.Version {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	has, err := s.entitlements(ctx, org)
	if _, newer := has.Limits["of_a_newer_build"]; err != nil || has.Limits["projects"] != 7 || has.Limits["api_keys"] != 50 || newer {
		t.Errorf("got %+v, %v", has, err)
	}
	s.now = func() time.Time { return end.Add(s.catalogue.Grace) }
	if has, err = s.entitlements(ctx, org); err != nil || has.Limits["projects"] != s.catalogue.Limits["projects"].Default {
		t.Errorf("past its grace: %+v, %v", has, err)
	}
}

func TestRequireWantsTheFeature(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), fixture(t)
	org := newOrg(t, s)
	if err := Require(ctx, org, "sso"); fault.DetailsOf(err).Reason != fault.UpgradeRequired || fault.Status(err) != 403 {
		t.Errorf("free: %v", err)
	}
	if _, err := s.grant(ctx, license{OrgID: org, Tier: "enterprise", Flags: map[string]bool{}, Seats: 1, Source: sourceManual}, 0, authz.Decision{}); err != nil {
		t.Fatal(err)
	}
	if err := Require(ctx, org, "sso"); err != nil {
		t.Errorf("enterprise: %v", err)
	}
	if err := Require(ctx, org, "nothing_of_that_name"); err == nil {
		t.Error("an unknown feature was had")
	}
}

// untilBlocking waits until another transaction waits for tx.
func untilBlocking(t testing.TB, tx pgx.Tx) (waiting int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := tx.QueryRow(context.Background(), "select coalesce(min(pid), 0) from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))").Scan(&waiting)
		switch {
		case err == nil && waiting != 0:
			return waiting
		case err != nil || time.Now().After(deadline):
			t.Errorf("nobody waits: %v", err)
			return 0
		}
	}
}

// untilGone returns once a backend has let go of its locks: one whose client has given up goes on for a
// moment.
func untilGone(t testing.TB, s store, backend int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); value[int](t, s, tenantdb.Platform(), "select count(*) from pg_locks where pid = $1", backend) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it stays")
		}
	}
}
