package licensing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/catalogue"
	"encore.app/orgs"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

type store struct {
	db        *tenantdb.DB
	catalogue *catalogue.Catalogue
	env       catalogue.Layer
	now       func() time.Time
}

// Where a licence comes from.
const (
	sourceDefault = "default"
	sourceManual  = "manual"
	sourceStripe  = "stripe"
)

// license is a row of licensing.licenses.
type license struct {
	OrgID      uuid.UUID
	Tier       string
	Flags      map[string]bool
	Seats      int
	Limits     map[string]int64 // beside the tier's; not the seats
	ValidUntil *time.Time
	Source     string
	Version    int64
	UpdatedAt  time.Time
}

// free is the licence of an organisation without a row of its own, as the row would begin.
func (s store) free(org uuid.UUID) license {
	return license{
		OrgID: org, Tier: catalogue.Free, Flags: map[string]bool{}, Seats: s.catalogue.SeatsOf(catalogue.Free),
		Limits: map[string]int64{}, Source: sourceDefault, Version: 1,
	}
}

// States of a licence.
const (
	stateActive  = "active"
	stateGrace   = "grace"   // past its end, and still worth what it says
	stateExpired = "expired" // worth the free tier
)

// state says what a licence is at a time, and when that may change; the zero time is never.
func (s store) state(l license, at time.Time) (state string, until time.Time) {
	if l.ValidUntil == nil {
		return stateActive, time.Time{}
	}
	switch end := l.ValidUntil.Add(s.catalogue.Grace); {
	case at.Before(*l.ValidUntil):
		return stateActive, *l.ValidUntil
	case at.Before(end):
		return stateGrace, end
	}
	return stateExpired, time.Time{}
}

// worth is what a licence gives at a time: itself, or the free one once its grace is over.
func (s store) worth(l license, at time.Time) license {
	if state, _ := s.state(l, at); state != stateExpired {
		return l
	}
	f := s.free(l.OrgID)
	l.Tier, l.Flags, l.Seats, l.Limits = f.Tier, f.Flags, f.Seats, f.Limits
	return l
}

// same says that two licences say the same, whatever their versions.
func (l license) same(o license) bool {
	sameEnd := l.ValidUntil == nil && o.ValidUntil == nil ||
		l.ValidUntil != nil && o.ValidUntil != nil && l.ValidUntil.Equal(*o.ValidUntil)
	return l.Tier == o.Tier && l.Seats == o.Seats && l.Source == o.Source && sameEnd &&
		maps.Equal(l.Flags, o.Flags) && maps.Equal(l.Limits, o.Limits)
}

const licenseColumns = "org_id, tier, feature_flags, seats, limits, valid_until, source, version, updated_at"

const selectLicense = "select " + licenseColumns + " from licensing.licenses where org_id = $1"

// of is an organisation's licence, under a scope that may see it.
func (s store) of(ctx context.Context, scope tenantdb.Scope, org uuid.UUID) (license, error) {
	l, err := tenantdb.Row(ctx, s.db, scope, pgx.RowToStructByPos[license],
		selectLicense, org)
	if errors.Is(err, pgx.ErrNoRows) {
		return s.free(org), nil
	}
	if err != nil {
		return license{}, fmt.Errorf("licensing: read: %w", err)
	}
	return l, nil
}

// lock reads the organisation's licence and keeps others from changing it until tx ends. An
// organisation that never had a row gets one: there is nothing to lock otherwise. One that is not there,
// or was erased, is refused with not_found.
func (s store) lock(ctx context.Context, tx pgx.Tx, org uuid.UUID) (license, error) {
	f := s.free(org)
	_, err := tx.Exec(ctx, `insert into licensing.licenses (org_id, tier, seats, source, review_at)
		values ($1, $2, $3, $4, 'infinity') on conflict do nothing`, org, f.Tier, f.Seats, f.Source)
	if err != nil {
		return license{}, fmt.Errorf("licensing: lock: %w", err)
	}
	rows, err := tx.Query(ctx, selectLicense+" for update", org)
	if err != nil {
		return license{}, fmt.Errorf("licensing: lock: %w", err)
	}
	l, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[license])
	if err != nil {
		return license{}, fmt.Errorf("licensing: lock: %w", err)
	}
	return l, s.stands(ctx, tx, org)
}

// save writes a locked licence and makes it count.
func (s store) save(ctx context.Context, tx pgx.Tx, l license) (license, error) {
	if l.Flags == nil {
		l.Flags = map[string]bool{}
	}
	if l.Limits == nil {
		l.Limits = map[string]int64{}
	}
	flags, err := json.Marshal(l.Flags)
	if err != nil {
		return license{}, fmt.Errorf("licensing: save: %w", err)
	}
	limits, err := json.Marshal(l.Limits)
	if err != nil {
		return license{}, fmt.Errorf("licensing: save: %w", err)
	}
	rows, err := tx.Query(ctx, `
update licensing.licenses
   set tier = $2, feature_flags = $3, seats = $4, valid_until = $5, source = $6, limits = $8, version = version + 1,
       updated_at = now(), review_at = coalesce($7, 'infinity'::timestamptz)
 where org_id = $1 returning `+licenseColumns, l.OrgID, l.Tier, flags, l.Seats, l.ValidUntil, l.Source, s.reviewAt(l), limits)
	if err == nil {
		l, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[license])
	}
	if err != nil {
		return license{}, fmt.Errorf("licensing: save: %w", err)
	}
	_, err = s.project(ctx, tx, l)
	return l, err
}

// reviewAt is when the licence's worth changes by itself; nil is never.
func (s store) reviewAt(l license) *time.Time {
	if l.ValidUntil == nil {
		return nil
	}
	end := l.ValidUntil.Add(s.catalogue.Grace)
	if end.Before(s.now()) {
		return nil
	}
	return &end
}

// project tells the organisation what its licence is worth now. Policies, memberships and every
// replica see it with the next request.
func (s store) project(ctx context.Context, tx pgx.Tx, l license) (changed bool, err error) {
	w := s.worth(l, s.now())
	return orgs.ApplyLicense(ctx, tx, l.OrgID, orgs.License{Tier: w.Tier, Flags: w.Flags, Seats: &w.Seats})
}
