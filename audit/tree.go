package audit

import (
	"context"
	"errors"
	"fmt"

	"encore.app/audit/ledger"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

// log is the state of one organisation's log; an empty one if nothing was written to it.
func (s store) log(ctx context.Context, org uuid.UUID) (logState, error) {
	state, err := tenantdb.Row(ctx, s.db, scopeOf(org), pgx.RowToStructByPos[logState],
		"select size, root, frontier, checkpoint, archived from audit.logs where org_id = $1", org)
	if errors.Is(err, pgx.ErrNoRows) {
		return emptyLog(), nil
	}
	if err != nil {
		return logState{}, fmt.Errorf("audit: log: %w", err)
	}
	return state, nil
}

// leaf is the number and hash of an event; ok is false if it has none yet.
func (s store) leaf(ctx context.Context, org, event uuid.UUID) (seq int64, hash []byte, ok bool, err error) {
	type row struct {
		Seq  int64
		Hash []byte
	}
	r, err := tenantdb.Row(ctx, s.db, scopeOf(org), pgx.RowToStructByPos[row],
		"select seq, leaf_hash from audit.leaves where org_id = $1 and event_id = $2", org, event)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil, false, nil
	}
	if err != nil {
		return 0, nil, false, fmt.Errorf("audit: leaf: %w", err)
	}
	return r.Seq, r.Hash, true, nil
}

// readHashes gets many ranges at once. A leaf's number is its index and one.
const readHashes = `
select r.ord - 1, x.seq as at, x.leaf_hash
  from unnest($2::smallint[], $3::bigint[], $4::bigint[]) with ordinality as r (level, a, b, ord)
  join audit.leaves x on x.org_id = $1 and x.seq > r.a and x.seq <= r.b
 where r.level = 0
union all
select r.ord - 1, x.n, x.hash
  from unnest($2::smallint[], $3::bigint[], $4::bigint[]) with ordinality as r (level, a, b, ord)
  join audit.nodes x on x.org_id = $1 and x.level = r.level and x.n >= r.a and x.n < r.b
 where r.level > 0
 order by 1, 2`

// tree is a log as it was at size.
func (s store) tree(ctx context.Context, org uuid.UUID, size int64) ledger.Tree {
	return ledger.Tree{Size: size, Read: func(ranges []ledger.Range) ([][]tlog.Hash, error) {
		levels, from, to := make([]int16, len(ranges)), make([]int64, len(ranges)), make([]int64, len(ranges))
		for i, r := range ranges {
			levels[i], from[i], to[i] = int16(r.Level), r.From, r.To
		}
		type row struct {
			Range, At int64
			Hash      []byte
		}
		rows, err := tenantdb.Rows(ctx, s.db, scopeOf(org), pgx.RowToStructByPos[row], readHashes, org, levels, from, to)
		if err != nil {
			return nil, fmt.Errorf("audit: hashes: %w", err)
		}
		found := make([][]tlog.Hash, len(ranges))
		for _, r := range rows {
			found[r.Range] = append(found[r.Range], tlog.Hash(r.Hash))
		}
		return found, nil
	}}
}

// logWith is the log that has an event, among all.
func (s store) logWith(ctx context.Context, event uuid.UUID) (org uuid.UUID, ok bool, err error) {
	org, err = tenantdb.Row(ctx, s.db, tenantdb.Platform(), pgx.RowTo[uuid.UUID],
		"select org_id from audit.leaves where event_id = $1", event)
	if errors.Is(err, pgx.ErrNoRows) {
		return org, false, nil
	}
	if err != nil {
		return org, false, fmt.Errorf("audit: find: %w", err)
	}
	return org, true, nil
}
