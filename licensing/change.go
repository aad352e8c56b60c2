package licensing

import (
	"context"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/etag"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/stripesync"
	"encore.app/orgs"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// background is the actor of what nobody asked for.
func background(ctx context.Context) context.Context {
	return principal.NewContext(ctx, principal.System("licensing"))
}

// changes is what the audit log is told of a change.
func changes(before, after license, more map[string]any) map[string]any {
	out := map[string]any{"before": shown(before), "after": shown(after)}
	for name, v := range more {
		out[name] = v
	}
	return out
}

func shown(l license) map[string]any {
	return map[string]any{
		"tier": l.Tier, "feature_flags": l.Flags, "seats": l.Seats, "limits": l.Limits, "valid_until": l.ValidUntil, "source": l.Source,
	}
}

func record(ctx context.Context, tx pgx.Tx, l license, action string, d authz.Decision, what map[string]any) error {
	e, err := event.New(ctx, l.OrgID, action, event.Resource{Kind: "license", ID: l.OrgID.String()}, event.Succeeded, d).With(what)
	if err != nil {
		return err
	}
	return e.Record(ctx, tx)
}

// grant changes a licence by hand. The same again changes nothing and is not told of. A version other
// than 0 must be the current one.
func (s store) grant(ctx context.Context, want license, version int64, d authz.Decision) (out license, err error) {
	err = s.db.Tx(ctx, tenantdb.Org(want.OrgID), func(tx pgx.Tx) error {
		before, err := s.lock(ctx, tx, want.OrgID)
		if err != nil {
			return err
		}
		if version != 0 && version != before.Version {
			return etag.Stale()
		}
		if out = before; before.same(want) {
			_, err := s.project(ctx, tx, before)
			return err
		}
		if out, err = s.save(ctx, tx, want); err != nil {
			return err
		}
		return record(ctx, tx, out, "update", d, changes(before, out, nil))
	})
	return out, err
}

// revoke takes a licence that was granted by hand back. What the organisation pays for at Stripe, if
// anything, counts again as soon as its customer was looked at.
func (s store) revoke(ctx context.Context, org uuid.UUID, d authz.Decision) (out license, err error) {
	customer, isCustomer, err := stripesync.CustomerOf(ctx, s.db, org)
	if err != nil {
		return license{}, err
	}
	err = s.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		if isCustomer { // before the licence, as workers lock them
			if err := stripesync.Mark(ctx, tx, customer.ID, stripesync.Request); err != nil {
				return err
			}
		}
		before, err := s.lock(ctx, tx, org)
		if err != nil {
			return err
		}
		if out = before; before.Source != sourceManual {
			return nil
		}
		if out, err = s.save(ctx, tx, s.free(org)); err != nil {
			return err
		}
		return record(ctx, tx, out, "delete", d, changes(before, out, nil))
	})
	return out, err
}

// Exists says whether there is such an organisation, and keeps it from being erased until tx ends.
func (s store) Exists(ctx context.Context, tx pgx.Tx, org uuid.UUID) (bool, error) {
	return orgs.Stands(ctx, tx, org)
}

// stands refuses with not_found where Exists says no.
func (s store) stands(ctx context.Context, tx pgx.Tx, org uuid.UUID) error {
	ok, err := s.Exists(ctx, tx, org)
	if err == nil && !ok {
		err = fault.NotFound("organisation")
	}
	return err
}

// Apply makes what Stripe says the organisation's licence. One that was granted by hand stays.
func (s store) Apply(ctx context.Context, tx pgx.Tx, org uuid.UUID, g stripesync.Grant, why stripesync.Reason) (changed bool, err error) {
	before, err := s.lock(ctx, tx, org)
	if err != nil || before.Source == sourceManual {
		return false, err
	}
	want := s.free(org)
	if len(g.Features) > 0 { // addons alone
		want.Flags, want.ValidUntil, want.Source = g.Features, &g.ValidUntil, sourceStripe
	}
	if g.Tier != "" {
		want = license{OrgID: org, Tier: g.Tier, Flags: g.Features, Seats: g.Seats, ValidUntil: &g.ValidUntil, Source: sourceStripe}
	}
	if before.same(want) {
		return false, nil
	}
	after, err := s.save(ctx, tx, want)
	if err != nil {
		return false, err
	}
	if why == stripesync.Reconciliation {
		if err := s.drifted(ctx, tx, before, after); err != nil {
			return false, err
		}
	}
	return true, record(background(ctx), tx, after, "license:sync", authz.Decision{},
		changes(before, after, map[string]any{"reason": why, "drift": why == stripesync.Reconciliation}))
}
