package licensing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/catalogue"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// limited is an organisation with so many units, a limit without periods.
func limited(t *testing.T, s *store, most int64) uuid.UUID {
	t.Helper()
	c := *s.catalogue
	c.Limits = maps.Clone(c.Limits)
	c.Limits["units"] = catalogue.Limit{Default: most}
	s.catalogue = &c
	return newOrg(t, *s)
}

func commit(t *testing.T, s store, r Reservation) error {
	t.Helper()
	return s.db.Tx(context.Background(), tenantdb.Org(r.OrgID), func(tx pgx.Tx) error { return Commit(context.Background(), tx, r) })
}

func exceeded(err error) bool {
	return fault.DetailsOf(err).Reason == fault.QuotaExceeded && fault.Status(err) == 400
}

func usedOf(t *testing.T, s store, org uuid.UUID) (used, reserved int) {
	t.Helper()
	return value[int](t, s, tenantdb.Org(org), "select used::int from licensing.usage where name = 'units'"),
		value[int](t, s, tenantdb.Org(org), "select reserved::int from licensing.usage where name = 'units'")
}

func TestFiveHundredReservationsOfAHundredUnits(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), fixture(t)
	org := limited(t, &s, 100)
	var had, refused atomic.Int32
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range 500 {
		all.Go(func() {
			<-begin
			r, err := s.reserve(ctx, org, "units", 1, time.Minute)
			switch {
			case exceeded(err):
				refused.Add(1)
			case err != nil:
				t.Error(err)
			case i%2 == 0:
				had.Add(1)
				if err := commit(t, s, r); err != nil {
					t.Error(err)
				}
			default:
				had.Add(1)
			}
		})
	}
	close(begin)
	all.Wait()
	if had.Load() != 100 || refused.Load() != 400 {
		t.Errorf("%d had one and %d were refused", had.Load(), refused.Load())
	}
	if used, reserved := usedOf(t, s, org); used+reserved != 100 {
		t.Errorf("%d used and %d reserved", used, reserved)
	}
	t.Logf("500 reservations of 100 units: %d had one", had.Load())
}

func TestAReservationIsCommittedReleasedOrExpires(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), fixture(t)
	org := limited(t, &s, 2)
	reserve := func(units int64) (Reservation, error) { return s.reserve(ctx, org, "units", units, time.Minute) }
	first, err := reserve(1)
	if err != nil {
		t.Fatal(err)
	}
	second, err := reserve(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reserve(1); !exceeded(err) {
		t.Fatalf("a third: %v", err)
	}
	if err := Release(ctx, first); err != nil {
		t.Fatal(err)
	}
	if err := Release(ctx, first); err != nil {
		t.Errorf("released again: %v", err)
	}
	if err := commit(t, s, first); !errors.Is(err, ErrReservationOver) {
		t.Errorf("committed what was released: %v", err)
	}
	if err := commit(t, s, second); err != nil {
		t.Fatal(err)
	}
	if err := commit(t, s, second); !errors.Is(err, ErrReservationOver) {
		t.Errorf("committed twice: %v", err)
	}
	third, err := reserve(1)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, s, tenantdb.Org(org), "update licensing.reservations set expires_at = now() where id = $1", third.ID)
	fourth, err := reserve(1)
	if err != nil {
		t.Fatalf("what has expired still counts: %v", err)
	}
	if err := commit(t, s, third); !errors.Is(err, ErrReservationOver) {
		t.Errorf("committed what has expired: %v", err)
	}
	if err := commit(t, s, fourth); err != nil {
		t.Fatal(err)
	}
	if used, reserved := usedOf(t, s, org); used != 2 || reserved != 0 {
		t.Errorf("%d used and %d reserved", used, reserved)
	}
	for _, bad := range []struct {
		name  string
		units int64
	}{{"nothing", 1}, {"seats", 1}, {"units", 0}, {"units", -1}} {
		if _, err := s.reserve(ctx, org, bad.name, bad.units, time.Minute); err == nil || exceeded(err) {
			t.Errorf("%d %s: %v", bad.units, bad.name, err)
		}
	}
}

func TestTheUseRollsBackWithItsTransaction(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), fixture(t)
	org := limited(t, &s, 1)
	r, err := s.reserve(ctx, org, "units", 1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("the use failed")
	err = s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error { return errors.Join(Commit(ctx, tx, r), failed) })
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if used, reserved := usedOf(t, s, org); used != 0 || reserved != 1 {
		t.Errorf("%d used and %d reserved", used, reserved)
	}
}

func TestTheOrganisationIsWarnedOnceAPeriod(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), private(t)
	org := limited(t, &s, 20)
	if _, err := s.grant(ctx, license{OrgID: org, Tier: "pro", Flags: map[string]bool{}, Seats: 1, Source: sourceManual}, 0, authz.Decision{}); err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return day }
	if _, err := s.reserve(ctx, org, "exports_per_day", 25, time.Minute); fault.Status(err) != 429 || fault.DetailsOf(err).RetryAfter != 14*3600 {
		t.Errorf("more than a day's: %v", err)
	}
	for range 30 { // of 24
		if err := s.meter(ctx, org, "exports_per_day", 1); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(told(t, s, org, "quota:warn")); n != 2 {
		t.Errorf("told %d times of 80 and 100 percent", n)
	}
	day = day.AddDate(0, 0, 1)
	if err := s.meter(ctx, org, "exports_per_day", 20); err != nil {
		t.Fatal(err)
	}
	if n := len(told(t, s, org, "quota:warn")); n != 3 {
		t.Errorf("told %d times with the next day's 80 percent", n)
	}
	used, err := s.used(ctx, org)
	if err != nil || used["exports_per_day"] != 20 {
		t.Errorf("used %+v, %v", used, err)
	}
	rows, err := s.periods(ctx, org, "exports_per_day", endOfTime, 10)
	if err != nil || len(rows) != 2 || rows[0].Used != 20 || rows[1].Used != 30 {
		t.Errorf("periods %+v, %v", rows, err)
	}
	// A limit without periods: falling below makes the next rise news.
	for _, n := range []int64{17, -17, 17, -100, 1} {
		if err := s.meter(ctx, org, "units", n); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(told(t, s, org, "quota:warn")); n != 5 {
		t.Errorf("told %d times with two rises to 80 percent", n)
	}
	if used, _ := usedOf(t, s, org); used != 1 {
		t.Errorf("%d used: giving back more than there is must end at nothing", used)
	}
}

// Things that are counted where they are: five hundred at once, of which a hundred fit.
func TestAsManyAreLetInAsThereIsRoomFor(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), private(t)
	org := newOrg(t, s)
	want := license{OrgID: org, Tier: "free", Seats: 5, Limits: map[string]int64{"projects": 100}, Source: sourceManual}
	if _, err := s.grant(ctx, want, 0, authz.Decision{}); err != nil {
		t.Fatal(err)
	}
	add := func() error {
		return s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
			err := s.admit(ctx, tx, org, "projects", func() (n int64, err error) {
				return n, tx.QueryRow(ctx, "select count(*) from orgs.projects where org_id = $1 and deleted_at is null", org).Scan(&n)
			})
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `insert into orgs.projects (org_id, id, owner_id, title, sensitivity, pii)
				values ($1, gen_random_uuid(), gen_random_uuid(), 't', 'public', false)`, org)
			return err
		})
	}
	var made, refused atomic.Int32
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			switch err := add(); {
			case err == nil:
				made.Add(1)
			case exceeded(err):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	have := value[int](t, s, tenantdb.Org(org), "select count(*)::int from orgs.projects")
	if made.Load() != 100 || refused.Load() != 400 || have != 100 {
		t.Errorf("%d were made, %d refused, %d are there", made.Load(), refused.Load(), have)
	}
	if n := len(told(t, s, org, "quota:warn")); n != 2 {
		t.Errorf("told %d times of 80 and 100 percent", n)
	}
	exec(t, s, tenantdb.Org(org), "update orgs.projects set deleted_at = now() where id = (select id from orgs.projects limit 1)")
	if err := add(); err != nil {
		t.Errorf("after one was deleted: %v", err)
	}
	want.Limits = map[string]int64{"projects": -1}
	if _, err := s.grant(ctx, want, 0, authz.Decision{}); err != nil {
		t.Fatal(err)
	}
	if err := add(); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

// The most that is taken for a limit can be counted and told.
func TestAHugeLimitKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), private(t)
	org := newOrg(t, s)
	want := license{OrgID: org, Tier: "free", Seats: 5, Limits: map[string]int64{"projects": catalogue.MaxLimit}, Source: sourceManual}
	if _, err := s.grant(ctx, want, 0, authz.Decision{}); err != nil {
		t.Fatal(err)
	}
	for _, have := range []int64{0, catalogue.MaxLimit - 1} {
		err := s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
			return s.admit(ctx, tx, org, "projects", func() (int64, error) { return have, nil })
		})
		if err != nil {
			t.Errorf("with %d: %v", have, err)
		}
	}
	if n := len(told(t, s, org, "quota:warn")); n != 1 {
		t.Errorf("told %d times that it is used up", n)
	}
}

func TestALimitBeyondCountingIsRefused(t *testing.T) {
	t.Parallel()
	for limit, ok := range map[int64]bool{-2: false, -1: true, 0: true, catalogue.MaxLimit: true, catalogue.MaxLimit + 1: false, math.MaxInt64: false} {
		r := PutLicenseRequest{Tier: "pro", Seats: 1, Limits: map[string]int64{"projects": limit}}
		if err := r.Validate(); (err == nil) != ok {
			t.Errorf("%d: %v", limit, err)
		}
		if _, err := fixture(t).catalogue.ParseLayer(fmt.Sprint("projects=", limit)); (err == nil) != ok {
			t.Errorf("%d in a layer: %v", limit, err)
		}
	}
}
