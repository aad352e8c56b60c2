package audit

import (
	"context"

	"encore.app/audit/event"
	"encore.app/infra/platform/database"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/storage/sqldb"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Record puts an event that belongs to no change of its own, such as a denial, into the log.
// A change records its event in its own transaction instead.
func Record(ctx context.Context, e event.Event) error {
	db := tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB))
	return db.Tx(ctx, tenantdb.Org(e.OrgID), func(tx pgx.Tx) error { return e.Record(ctx, tx) })
}
