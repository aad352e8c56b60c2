package audit

import (
	"context"
	"fmt"

	export "encore.app/infra/platform/archive"
	"encore.app/infra/platform/database"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/storage/sqldb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// archivedAtOnce is how many events of an organisation's archive are in memory at once.
const archivedAtOnce = 500

// ArchiveOrg writes an organisation's sinks, without their secrets, and its log into its export. The
// log is as far as it is numbered; what proves it has an export of its own.
func ArchiveOrg(ctx context.Context, tx pgx.Tx, org uuid.UUID, out *export.Writer, events bool) error {
	err := out.Rows(ctx, tx, "audit_sink", `
select (to_jsonb(t) - array['secret', 'old_secret'])::text from audit.sinks t where org_id = $1 order by id`, org)
	if err != nil || !events {
		return err
	}
	// Personal values are opened as for a search, so it is read beside the snapshot: the log only grows.
	s := newStore(tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB)))
	for after := int64(0); ; {
		page, err := s.read(ctx, scopeOf(org), fmt.Sprintf("%s where e.org_id = $1 and l.org_id = $1 and l.seq > $2 order by l.seq limit %d",
			selectEvents, archivedAtOnce), org, after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, e := range page {
			if err := out.Row("audit_event", e); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Seq
	}
}
