package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// digest is the hash of a secret that the app gave out.
type digest [sha256.Size]byte

func (d digest) flight() string { return hex.EncodeToString(d[:]) }

var errNoSuchSecret = errors.New("identity: no such secret")

// bySQL is what an organisation keeps of the secret with this hash.
func bySQL[T any](ctx context.Context, db *tenantdb.DB, sql string, org uuid.UUID, hash digest) (T, error) {
	found, err := tenantdb.Row(ctx, db, tenantdb.Org(org), pgx.RowToStructByPos[T], sql, org, hash[:])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return found, errNoSuchSecret
	case err != nil:
		return found, fmt.Errorf("identity: read secret: %w", err)
	}
	return found, nil
}

// usable is why a secret that was looked up does not work; nil if it does.
func usable(lookUp error, ended bool, until, now time.Time) error {
	switch {
	case errors.Is(lookUp, errNoSuchSecret):
		return refused(fault.Unauthenticated)
	case lookUp != nil:
		return lookUp
	case ended:
		return refused(fault.TokenRevoked)
	case !now.Before(until):
		return refused(fault.TokenExpired)
	}
	return nil
}
