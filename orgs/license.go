package orgs

import (
	"context"
	"encoding/json"
	"fmt"

	"encore.app/authz/epoch"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// License is what an organisation's licence says, as far as memberships and policies see it.
type License struct {
	Tier  string
	Flags map[string]bool
	Seats *int // nil is no limit
}

// Stands says whether there is such an organisation that was not erased, and keeps it from being erased
// until tx ends. Locks on what is held for it are taken before.
func Stands(ctx context.Context, tx pgx.Tx, org uuid.UUID) (bool, error) {
	tag, err := tx.Exec(ctx, "select from orgs.orgs where id = $1 and erased_at is null for key share", org)
	if err != nil {
		return false, fmt.Errorf("orgs: stands: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// ApplyLicense makes an organisation's licence count, in the transaction that changes it. changed is
// false if it said the same before, or if there is no such organisation.
func ApplyLicense(ctx context.Context, tx pgx.Tx, org uuid.UUID, l License) (changed bool, err error) {
	if l.Flags == nil {
		l.Flags = map[string]bool{}
	}
	flags, err := json.Marshal(l.Flags)
	if err != nil {
		return false, fmt.Errorf("orgs: licence: %w", err)
	}
	tag, err := tx.Exec(ctx, `
update orgs.orgs set license_tier = $2, feature_flags = $3, seats = $4, version = version + 1, updated_at = now()
 where id = $1 and (license_tier, feature_flags, seats) is distinct from ($2, $3::jsonb, $4)`, org, l.Tier, flags, l.Seats)
	if err != nil {
		return false, fmt.Errorf("orgs: licence: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return false, nil
	}
	return true, epoch.Bump(ctx, tx, org)
}
