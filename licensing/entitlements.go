package licensing

import (
	"context"
	"fmt"
	"time"

	"encore.app/identity"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/quota"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/catalogue"
	"encore.app/orgs"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Entitlements are what an organisation has, as of now: every replica reads the same rows.
func Entitlements(ctx context.Context, org uuid.UUID) (catalogue.Entitlements, error) {
	s, err := open()
	if err != nil {
		return catalogue.Entitlements{}, err
	}
	return s.entitlements(ctx, org)
}

// Require refuses with upgrade_required unless the organisation has the feature.
func Require(ctx context.Context, org uuid.UUID, feature string) error {
	e, err := Entitlements(ctx, org)
	if err != nil {
		return err
	}
	if !e.Features[feature] {
		return fault.Denied(fault.UpgradeRequired, "")
	}
	return nil
}

func (s store) entitlements(ctx context.Context, org uuid.UUID) (catalogue.Entitlements, error) {
	ask, answer := s.asking(org)
	if err := s.db.Send(ctx, tenantdb.Org(org), ask); err != nil {
		return catalogue.Entitlements{}, fmt.Errorf("licensing: entitlements: %w", err)
	}
	return answer(), nil
}

// entitlementsIn reads them in a transaction of the organisation's.
func (s store) entitlementsIn(ctx context.Context, tx pgx.Tx, org uuid.UUID) (catalogue.Entitlements, error) {
	ask, answer := s.asking(org)
	if err := tx.SendBatch(ctx, ask).Close(); err != nil {
		return catalogue.Entitlements{}, fmt.Errorf("licensing: entitlements: %w", err)
	}
	return answer(), nil
}

// asking is one round trip for what entitlements consist of, and what to make of it.
func (s store) asking(org uuid.UUID) (ask *pgx.Batch, answer func() catalogue.Entitlements) {
	ask = &pgx.Batch{}
	l, global := s.free(org), map[string]string(nil)
	tenantdb.QueueRow(ask, pgx.RowToStructByPos[license], func(found license) { l = found }, selectLicense, org)
	tenantdb.QueueRow(ask, pgx.RowTo[map[string]string], func(all map[string]string) { global = all },
		"select coalesce(jsonb_object_agg(name, value), '{}') from licensing.overrides")
	return ask, func() catalogue.Entitlements { return s.resolve(l, global) }
}

// resolve lays every layer over the other.
func (s store) resolve(l license, global map[string]string) catalogue.Entitlements {
	w := s.worth(l, s.now())
	own := catalogue.Layer{Features: w.Flags, Limits: map[string]int64{}}
	for name, n := range w.Limits {
		if s.catalogue.Has(name) { // of this build
			own.Limits[name] = n
		}
	}
	own.Limits[catalogue.Seats] = int64(w.Seats)
	return s.catalogue.Resolve(s.env, s.layer(global), w.Tier, own)
}

// override is the platform's own word on a feature or limit.
type override struct {
	Name      string
	Value     string
	UpdatedAt time.Time
}

func (s store) overrides(ctx context.Context) ([]override, error) {
	items, err := tenantdb.Rows(ctx, s.db, tenantdb.Platform(), pgx.RowToStructByPos[override],
		"select name, value, updated_at from licensing.overrides order by name")
	if err != nil {
		return nil, fmt.Errorf("licensing: overrides: %w", err)
	}
	return items, nil
}

// layer leaves out what this build's catalogue does not know.
func (s store) layer(global map[string]string) catalogue.Layer {
	l := catalogue.Layer{Features: map[string]bool{}, Limits: map[string]int64{}}
	for name, value := range global {
		_ = s.catalogue.Set(&l, name, value) // what it cannot set, it does not know
	}
	return l
}

// used is how much of every limit the organisation has used, in the period that runs now.
func (s store) used(ctx context.Context, org uuid.UUID) (map[string]int64, error) {
	counted, _, err := orgs.UsageOf(ctx, s.db, org)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	names, buckets := make([]string, 0, len(s.catalogue.Limits)), make([]time.Time, 0, len(s.catalogue.Limits))
	for name, l := range s.catalogue.Limits {
		out[name] = 0
		names, buckets = append(names, name), append(buckets, l.Bucket(s.now()))
	}
	type row struct {
		Name string
		Used int64
	}
	rows, err := tenantdb.Rows(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[row], `
select u.name, u.used from licensing.usage u
  join unnest($2::text[], $3::timestamptz[]) as now (name, bucket) using (name, bucket)
 where u.org_id = $1`, org, names, buckets)
	if err != nil {
		return nil, fmt.Errorf("licensing: used: %w", err)
	}
	for _, r := range rows {
		out[r.Name] = r.Used
	}
	// These are counted where they are, not kept a second time.
	keys, err := identity.KeysOf(ctx, s.db, org)
	if err != nil {
		return nil, err
	}
	out[catalogue.Seats], out[quota.Resources], out[quota.APIKeys] = counted.Members, counted.Resources, keys
	return out, nil
}
