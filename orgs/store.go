package orgs

import (
	"context"
	"errors"
	"fmt"

	"encore.app/audit/event"
	"encore.app/authz/epoch"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

type store struct{ db *tenantdb.DB }

// platform is the scope of platform staff, after a decision.
var platform = tenantdb.Platform()

// errStale says that a row is no longer what a decision was made about.
var errStale = errors.New("changed meanwhile")

// statement gives back the row that it wrote, and what is said of it.
type statement struct {
	scope tenantdb.Scope
	event event.Event
	bump  []uuid.UUID        // whose decisions it can turn wrong
	admit func(pgx.Tx) error // asked first, unless nil
	sql   string
	args  []any
}

// write makes a change and records it in one transaction. errStale if no row was there to change.
func write[T any](ctx context.Context, s store, c statement) (row T, err error) {
	err = s.db.Tx(ctx, c.scope, func(tx pgx.Tx) error {
		if c.admit != nil {
			if err := c.admit(tx); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, c.sql, c.args...)
		if err != nil {
			return err
		}
		row, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[T])
		if errors.Is(err, pgx.ErrNoRows) {
			return errStale
		}
		if err != nil {
			return err
		}
		return record(ctx, tx, c.event, c.bump...)
	})
	return row, err
}

// record ends a transaction that changed something: its event, and whose decisions it can turn wrong.
func record(ctx context.Context, tx pgx.Tx, e event.Event, bump ...uuid.UUID) error {
	if err := orderRealm(ctx, tx, e); err != nil {
		return err
	}
	if err := e.Record(ctx, tx); err != nil {
		return err
	}
	if len(bump) == 0 {
		return nil
	}
	return epoch.Bump(ctx, tx, bump...)
}

// found tells "no such row" from a failure.
func found[T any](v T, err error, what string) (T, bool, error) {
	switch {
	case err == nil:
		return v, true, nil
	case errors.Is(err, pgx.ErrNoRows):
		return v, false, nil
	}
	return v, false, fmt.Errorf("orgs: %s: %w", what, err)
}
