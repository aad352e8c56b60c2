package licensing

import (
	"context"
	"fmt"

	"encore.app/infra/platform/quota"
	"encore.app/licensing/catalogue"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// counted are the limits whose things are counted where they are, not kept a second time here.
var counted = []string{catalogue.Seats, quota.Resources, quota.APIKeys}

func init() { quota.Keep(keeper{}) }

// keeper answers the services that stand below this one.
type keeper struct{}

// Admit is that of [quota.Keeper].
func (keeper) Admit(ctx context.Context, tx pgx.Tx, org uuid.UUID, limit string, count quota.Count) error {
	s, err := open()
	if err != nil {
		return err
	}
	return s.admit(ctx, tx, org, limit, count)
}

// Meter is that of [quota.Keeper].
func (keeper) Meter(ctx context.Context, tx pgx.Tx, org uuid.UUID, limit string, units int64) error {
	s, err := open()
	if err != nil {
		return err
	}
	return s.meterIn(ctx, tx, org, limit, units)
}

// admit takes the limit's lock before it counts: whoever added one before has committed by then.
func (s store) admit(ctx context.Context, tx pgx.Tx, org uuid.UUID, name string, count quota.Count) error {
	l, err := s.limit(name)
	if err != nil {
		return err
	}
	has, err := s.entitlementsIn(ctx, tx, org)
	if err != nil {
		return err
	}
	most, bucket := has.Limits[name], l.Bucket(s.now())
	if most == catalogue.Unlimited {
		return nil
	}
	if _, _, err := lock(ctx, tx, org, name, bucket); err != nil {
		return fmt.Errorf("licensing: admit: %w", err)
	}
	have, err := count()
	if err != nil {
		return fmt.Errorf("licensing: admit: %w", err)
	}
	if have+1 > most {
		return s.exceeded(name, l)
	}
	return warn(ctx, tx, org, name, bucket, most, have+1)
}
