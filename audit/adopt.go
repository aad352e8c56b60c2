package audit

import (
	"context"
	"fmt"

	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
)

const (
	adoptBatch = 100

	// Columns as selectEvents has them.
	leafless = `
select e.id, e.org_id, e.occurred_at, e.actor_id, e.actor_type, e.impersonator_id, e.action, e.resource_kind, e.resource_id,
       e.outcome, e.request_id, e.decision_id, e.policy_version, e.ip, e.changes, e.personal, 0::bigint, null::bytea
  from audit.events e where e.leaf_hash is null limit $1`

	adoptLeaf = `
with adopted as (
update audit.events set leaf_hash = $3 where org_id = $1 and id = $2 and leaf_hash is null returning org_id, id)
insert into audit.pending (org_id, event_id, leaf_hash) select org_id, id, $3 from adopted`
)

// adopt gives leaves to events that a version without leaves has written: before an upgrade, or
// beside it while the upgrade rolls.
func (s store) adopt(ctx context.Context) error {
	rows, err := tenantdb.Rows(ctx, s.db, tenantdb.Platform(), scanEvent, leafless, adoptBatch)
	if err != nil {
		return fmt.Errorf("audit: adopt: %w", err)
	}
	for _, row := range rows {
		row.LeafHash = ""
		leaf, err := leafOf(row.Event, row.personal)
		if err != nil {
			return fmt.Errorf("audit: adopt %s: %w", row.ID, err)
		}
		hash := hashOf(leaf)
		var batch pgx.Batch
		batch.Queue(adoptLeaf, row.OrgID, row.ID, hash)
		if err := s.db.Send(ctx, scopeOf(row.OrgID), &batch); err != nil {
			return fmt.Errorf("audit: adopt: %w", err)
		}
	}
	return nil
}
