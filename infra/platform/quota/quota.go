// Package quota is asked before something is made that licences limit, and told of what was used. The
// services that make things stand below the one that knows licences; whoever does know answers here.
// Where nobody does, nothing is limited and nothing is counted.
package quota

import (
	"context"

	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Limits that the services below licences ask about.
const (
	Resources = "projects"
	APIKeys   = "api_keys"
	Exports   = "exports_per_day"
)

// Count says how many there are, in the transaction that adds one.
type Count func() (int64, error)

// Keeper knows what organisations may use.
type Keeper interface {
	// Admit lets tx add one more, or refuses with quota_exceeded. Until tx ends it lets nobody else add
	// one, so that count stays true.
	Admit(ctx context.Context, tx pgx.Tx, org uuid.UUID, limit string, count Count) error
	// Meter counts units that were used, whatever the limit is.
	Meter(ctx context.Context, tx pgx.Tx, org uuid.UUID, limit string, units int64) error
}

// keeper is set once the program is initialised.
var keeper Keeper

// Keep makes k answer. Call it while the program is initialised.
func Keep(k Keeper) { keeper = k }

// Admit asks for one more of a limit, in the transaction and the organisation's scope that adds it.
func Admit(ctx context.Context, tx pgx.Tx, org uuid.UUID, limit string, count Count) error {
	if keeper == nil {
		return nil
	}
	return keeper.Admit(ctx, tx, org, limit, count)
}

// Meter tells of units that were used, in the transaction and the organisation's scope of that use.
func Meter(ctx context.Context, tx pgx.Tx, org uuid.UUID, limit string, units int64) error {
	if keeper == nil {
		return nil
	}
	return keeper.Meter(ctx, tx, org, limit, units)
}
