// Package epoch counts the changes that can turn an old decision wrong: a role, a team, a status, a
// tier, a flag. There is a counter for every organisation and every user; whoever changes one of
// these bumps it in the transaction of the change, so that no replica uses an older answer after it.
package epoch

import (
	"context"
	"fmt"

	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Channel carries the ids whose counter went up, when the transaction commits.
const Channel = "authz_epochs"

// Bump counts a change of what the given organisations and users may do. They are locked until tx
// ends, in the order given: bump last, just before the end.
func Bump(ctx context.Context, tx pgx.Tx, ids ...uuid.UUID) error {
	var batch pgx.Batch
	for _, id := range ids {
		batch.Queue(`insert into authz.epochs as e (subject, epoch) values ($1, 1)
			on conflict (subject) do update set epoch = e.epoch + 1`, id)
		batch.Queue("select pg_notify($1, $2)", Channel, id.String())
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("epoch: bump: %w", err)
	}
	return nil
}
