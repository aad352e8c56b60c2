package idempotency

import (
	"context"
	"fmt"
	"time"

	"encore.app/infra/platform/job"
	"encore.app/infra/platform/meter"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/cron"
	"github.com/jackc/pgx/v5"
)

var results = meter.Counter("tenantry_idempotency_total",
	"Requests with an Idempotency-Key, by what became of them: first, replayed, in_progress, reused.",
	"result", "first", "replayed", "in_progress", "reused")

var _ = cron.NewJob("idempotency-reaper", cron.JobConfig{
	Title:    "Forget kept answers that have expired",
	Every:    1 * cron.Hour,
	Endpoint: Reap,
})

var _ = job.Expect("idempotency.Reap", time.Hour)

// reapAtOnce bounds one statement, so that the table is never locked for long.
const reapAtOnce = 10_000

const reap = `
delete from edge.idempotency_keys where id in (
       select id from edge.idempotency_keys where created_at < now() - make_interval(secs => $1) limit $2)`

// Reap forgets kept answers that have expired. They are not replayed any more even before.
//
//encore:api private
func Reap(ctx context.Context) error {
	for {
		var gone int64
		err := open().Tx(ctx, tenantdb.Scope{}, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, reap, Kept.Seconds(), reapAtOnce)
			gone = tag.RowsAffected()
			return err
		})
		if err != nil {
			return fmt.Errorf("idempotency: reap: %w", err)
		}
		if gone < reapAtOnce {
			return nil
		}
	}
}
