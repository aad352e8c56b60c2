package licensing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/catalogue"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Reservation is a share of a limit that is promised and not used yet.
type Reservation struct {
	ID     uuid.UUID
	OrgID  uuid.UUID
	Name   string
	Bucket time.Time
	Units  int64
	Most   int64 // the limit when it was promised
}

// ErrReservationOver says that a reservation was committed, released or has expired.
var ErrReservationOver = errors.New("licensing: the reservation is over")

// Reserve promises units of a limit, for as long as given: whoever dies without committing keeps
// nobody out for ever. It holds under any concurrency, and refuses with quota_exceeded: 429 until the
// limit's period is over, 400 where it has none. Limits that are counted where the things are
// ([quota.Admit]) need no reservation and have none.
func Reserve(ctx context.Context, org uuid.UUID, name string, units int64, lasts time.Duration) (Reservation, error) {
	s, err := open()
	if err != nil {
		return Reservation{}, err
	}
	return s.reserve(ctx, org, name, units, lasts)
}

// Commit turns a reservation into use, in the transaction of that use (in the organisation's scope).
// An expired one is an error, so that the use does not happen either.
func Commit(ctx context.Context, tx pgx.Tx, r Reservation) error {
	used, err := settle(ctx, tx, r, r.Units)
	if err != nil {
		return err
	}
	return warn(ctx, tx, r.OrgID, r.Name, r.Bucket, r.Most, used)
}

// Release gives a reservation back. One that is over is none of its business.
func Release(ctx context.Context, r Reservation) error {
	s, err := open()
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, tenantdb.Org(r.OrgID), func(tx pgx.Tx) error {
		_, err := settle(ctx, tx, r, 0)
		return err
	})
	if errors.Is(err, ErrReservationOver) {
		return nil
	}
	return err
}

// Meter counts units that were used, whatever the limit is; a negative number gives back. Near and at
// the limit the organisation's audit log is told, once a period.
func Meter(ctx context.Context, org uuid.UUID, name string, units int64) error {
	s, err := open()
	if err != nil {
		return err
	}
	return s.meter(ctx, org, name, units)
}

func (s store) limit(name string) (catalogue.Limit, error) {
	l, ok := s.catalogue.Limits[name]
	if !ok {
		return l, fmt.Errorf("licensing: the catalogue has no limit %q", name)
	}
	return l, nil
}

const lockUsage = `
insert into licensing.usage as u (org_id, name, bucket) values ($1, $2, $3)
on conflict (org_id, name, bucket) do update set used = u.used
returning used, reserved`

const expire = `
with gone as (
    delete from licensing.reservations
     where org_id = $1 and name = $2 and bucket = $3 and expires_at <= now() returning units)
update licensing.usage set reserved = reserved - (select sum(units) from gone)
 where org_id = $1 and name = $2 and bucket = $3 and exists (select from gone)
returning reserved`

func (s store) reserve(ctx context.Context, org uuid.UUID, name string, units int64, lasts time.Duration) (Reservation, error) {
	l, err := s.limit(name)
	if err != nil {
		return Reservation{}, err
	}
	if units <= 0 || lasts <= 0 || slices.Contains(counted, name) {
		return Reservation{}, fmt.Errorf("licensing: reserve %d %s for %s", units, name, lasts)
	}
	has, err := s.entitlements(ctx, org)
	if err != nil {
		return Reservation{}, err
	}
	r := Reservation{ID: rowid.New(), OrgID: org, Name: name, Bucket: l.Bucket(s.now()), Units: units, Most: has.Limits[name]}
	err = s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
		used, reserved, err := lock(ctx, tx, org, name, r.Bucket)
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, expire, org, name, r.Bucket).Scan(&reserved); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if r.Most != catalogue.Unlimited && used+reserved+units > r.Most {
			return s.exceeded(name, l)
		}
		if _, err := tx.Exec(ctx, `update licensing.usage set reserved = reserved + $4
			where org_id = $1 and name = $2 and bucket = $3`, org, name, r.Bucket, units); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `insert into licensing.reservations (org_id, id, name, bucket, units, expires_at)
			values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))`, org, r.ID, name, r.Bucket, units, lasts.Seconds())
		return err
	})
	if err != nil {
		return Reservation{}, fmt.Errorf("licensing: reserve: %w", err)
	}
	return r, nil
}

// lock is what is used and reserved of a limit in a period. Its row is the one lock: everything that
// changes what is left takes it first.
func lock(ctx context.Context, tx pgx.Tx, org uuid.UUID, name string, bucket time.Time) (used, reserved int64, err error) {
	return used, reserved, tx.QueryRow(ctx, lockUsage, org, name, bucket).Scan(&used, &reserved)
}

func (s store) exceeded(name string, l catalogue.Limit) error {
	e := fault.New(errs.FailedPrecondition, fault.QuotaExceeded, "the organisation has used up its "+name)
	if end := l.Ends(s.now()); !end.IsZero() {
		e.Code = errs.ResourceExhausted
		e.Details = fault.Details{Reason: fault.QuotaExceeded, RetryAfter: max(1, int(end.Sub(s.now())/time.Second))}
	}
	return e
}

// settle ends a reservation; more of its units are used from now on, and used of all are.
func settle(ctx context.Context, tx pgx.Tx, r Reservation, more int64) (used int64, err error) {
	if _, _, err := lock(ctx, tx, r.OrgID, r.Name, r.Bucket); err != nil {
		return 0, fmt.Errorf("licensing: settle: %w", err)
	}
	tag, err := tx.Exec(ctx, "delete from licensing.reservations where org_id = $1 and id = $2", r.OrgID, r.ID)
	if err != nil {
		return 0, fmt.Errorf("licensing: settle: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return 0, ErrReservationOver
	}
	err = tx.QueryRow(ctx, `update licensing.usage set reserved = reserved - $4, used = used + $5
		where org_id = $1 and name = $2 and bucket = $3 returning used`, r.OrgID, r.Name, r.Bucket, r.Units, more).Scan(&used)
	if err != nil {
		return 0, fmt.Errorf("licensing: settle: %w", err)
	}
	return used, nil
}

func (s store) meter(ctx context.Context, org uuid.UUID, name string, units int64) error {
	return s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error { return s.meterIn(ctx, tx, org, name, units) })
}

const addUsage = `
insert into licensing.usage as u (org_id, name, bucket, used) values ($1, $2, $3, greatest(0, $4::bigint))
on conflict (org_id, name, bucket) do update set used = greatest(0, u.used + $4::bigint)
returning used`

func (s store) meterIn(ctx context.Context, tx pgx.Tx, org uuid.UUID, name string, units int64) error {
	l, err := s.limit(name)
	if err != nil {
		return err
	}
	has, err := s.entitlementsIn(ctx, tx, org)
	if err != nil {
		return err
	}
	bucket := l.Bucket(s.now())
	var used int64
	if err := tx.QueryRow(ctx, addUsage, org, name, bucket, units).Scan(&used); err != nil {
		return fmt.Errorf("licensing: meter: %w", err)
	}
	return warn(ctx, tx, org, name, bucket, has.Limits[name], used)
}

// warnAt are the shares of a limit, in percent, at which the organisation is told, the highest first.
var warnAt = []int64{100, 80}

// warn tells the organisation's audit log when a share is reached, once a period. The row is locked by
// the caller's change of it.
func warn(ctx context.Context, tx pgx.Tx, org uuid.UUID, name string, bucket time.Time, most, used int64) error {
	if most <= 0 { // no limit, or nothing to use up
		return nil
	}
	var warned int64
	if err := tx.QueryRow(ctx, "select warned from licensing.usage where org_id = $1 and name = $2 and bucket = $3",
		org, name, bucket).Scan(&warned); err != nil {
		return fmt.Errorf("licensing: warn: %w", err)
	}
	var share int64
	for _, percent := range warnAt {
		if used*100 >= most*percent {
			share = percent
			break
		}
	}
	if share == warned {
		return nil
	}
	// Falling below makes the next rise news again.
	if _, err := tx.Exec(ctx, "update licensing.usage set warned = $4 where org_id = $1 and name = $2 and bucket = $3",
		org, name, bucket, share); err != nil {
		return fmt.Errorf("licensing: warn: %w", err)
	}
	if share < warned {
		return nil
	}
	e, err := event.New(background(ctx), org, "quota:warn", event.Resource{Kind: "license", ID: org.String()}, event.Succeeded, authz.Decision{}).
		With(map[string]any{"limit": name, "of": most, "used": used, "percent": share, "since": bucket})
	if err != nil {
		return err
	}
	return e.Record(ctx, tx)
}
