package orgs

import (
	"context"
	"testing"

	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// auditRows writes one row into each table of the organisation's audit log. They are the sequencer's
// to write, which works for the platform.
func auditRows(t testing.TB, org uuid.UUID) {
	t.Helper()
	ctx := context.Background()
	err := open().db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		for _, sql := range []string{
			"insert into audit.pending (org_id, event_id, leaf_hash) values ($1, $2::uuid, sha256(''))",
			"insert into audit.leaves (org_id, seq, event_id, leaf_hash) values ($1, 1, $2::uuid, sha256(''))",
			"insert into audit.nodes (org_id, level, n, hash) values ($1, 1, 0, sha256(uuid_send($2::uuid)))",
			"insert into audit.logs (org_id, size, root, frontier, checkpoint, signed_at) values ($1, 0, sha256(uuid_send($2::uuid)), '', '', now())",
			"insert into audit.sinks (org_id, id, url, secret, next_seq) values ($1, $2::uuid, '', '', 1)",
			"insert into audit.deliveries (org_id, id, sink_id, event_id, seq) select $1, $2::uuid, id, $2::uuid, 1 from audit.sinks where org_id = $1",
		} {
			if _, err := tx.Exec(ctx, sql, org, rowid.New().String()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
