package licensing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

type store struct{ db *tenantdb.DB }

// license is a row of licensing.licenses.
type license struct {
	OrgID      uuid.UUID
	Tier       string
	Flags      map[string]bool
	Seats      int
	ValidUntil *time.Time
	Source     string
	Version    int64
	UpdatedAt  time.Time
}

// freeSeats is what an organisation has that never bought anything.
const freeSeats = 5

// free is the licence of an organisation without a row of its own.
func free(org uuid.UUID) license {
	return license{OrgID: org, Tier: "free", Flags: map[string]bool{}, Seats: freeSeats, Source: "default"}
}

const selectLicense = `
select org_id, tier, feature_flags, seats, valid_until, source, version, updated_at
  from licensing.licenses where org_id = $1`

// of is an organisation's licence.
func (s store) of(ctx context.Context, org uuid.UUID) (license, error) {
	l, err := tenantdb.Row(ctx, s.db, tenantdb.Org(org), pgx.RowToStructByPos[license], selectLicense, org)
	if errors.Is(err, pgx.ErrNoRows) {
		return free(org), nil
	}
	if err != nil {
		return license{}, fmt.Errorf("licensing: read: %w", err)
	}
	return l, nil
}
