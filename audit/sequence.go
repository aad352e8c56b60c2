package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"encore.app/audit/ledger"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

// sequenceBatch bounds one transaction of the sequencer.
const sequenceBatch = 4096

// sequencedChannel carries the id of each organisation whose log has grown.
const sequencedChannel = "audit_sequenced"

// errTampered stops a log whose stored state does not add up. Signing it would bless the change.
var errTampered = errors.New("audit: the log's frontier does not add up to its root")

// logState is a row of audit.logs.
type logState struct {
	Size       int64
	Root       []byte
	Frontier   []byte
	Checkpoint string
	Archived   int64
}

func (l logState) parse() (*ledger.Frontier, error) {
	f, err := ledger.ParseFrontier(l.Size, l.Frontier)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errTampered, err)
	}
	if root := f.Root(); !slices.Equal(root[:], l.Root) {
		return nil, errTampered
	}
	return f, nil
}

// pendingLeaf is a row of audit.pending.
type pendingLeaf struct {
	ID       int64
	Org      uuid.UUID
	EventID  uuid.UUID
	Hash     []byte
	Age      float64 // seconds
	Numbered bool    // its event has a leaf: it came again after retention had removed it
}

const (
	// One replica at a time grows a log; the others turn to other logs.
	lockLogs = "select o from unnest($1::uuid[]) o where pg_try_advisory_xact_lock(hashtextextended(o::text, 0))"

	readLogs = "select org_id, size, root, frontier from audit.logs where org_id = any($1)"

	// A leaf is taken by the transaction that deletes it: one whose writer commits late is found later
	// and skipped never, which whoever reads on from a last id needs a horizon of xid8 for.
	claimPending = `
delete from audit.pending p
 where id in (select id from audit.pending where org_id = any($1) order by id limit $2)
returning id, org_id, event_id, leaf_hash, extract(epoch from clock_timestamp() - recorded_at)::float8,
          exists (select from audit.leaves l where l.event_id = p.event_id)`

	insertLeaves = `
insert into audit.leaves (org_id, seq, event_id, leaf_hash)
select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bytea[])`

	insertNodes = `
insert into audit.nodes (org_id, level, n, hash)
select * from unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::bytea[])`

	saveLogs = `
insert into audit.logs (org_id, size, root, frontier, checkpoint, signed_at)
select *, now() from unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::bytea[], $5::text[])
on conflict (org_id) do update
   set size = excluded.size, root = excluded.root, frontier = excluded.frontier,
       checkpoint = excluded.checkpoint, signed_at = excluded.signed_at`

	notifySequenced = "select pg_notify('" + sequencedChannel + "', o::text) from unnest($1::uuid[]) o"
)

// waiting are the logs that have leaves to number.
func (s store) waiting(ctx context.Context) ([]uuid.UUID, error) {
	orgs, err := tenantdb.Rows(ctx, s.db, tenantdb.Platform(), pgx.RowTo[uuid.UUID], "select distinct org_id from audit.pending")
	if err != nil {
		return nil, fmt.Errorf("audit: pending: %w", err)
	}
	return orgs, nil
}

// unnumbered is how many leaves wait in all, and the seconds that the oldest of them has waited.
func (s store) unnumbered(ctx context.Context) (events int64, oldest float64, err error) {
	type state struct {
		Events int64
		Oldest float64
	}
	found, err := tenantdb.Row(ctx, s.db, tenantdb.Platform(), pgx.RowToStructByPos[state],
		"select count(*), coalesce(extract(epoch from now() - min(recorded_at)), 0)::float8 from audit.pending")
	if err != nil {
		return 0, 0, fmt.Errorf("audit: pending: %w", err)
	}
	return found.Events, found.Oldest, nil
}

// sequenced is what one transaction of the sequencer did.
type sequenced struct {
	ages     []float64 // of each leaf, in seconds
	tampered map[uuid.UUID]error
}

// sequence numbers the next leaves of some logs, grows their trees and signs the results, all in one
// transaction. Logs that another replica sees to are left to it, and so are those that were tampered
// with to whoever looks into that.
func (s store) sequence(ctx context.Context, orgs []uuid.UUID, keys *ledger.Keys) (done sequenced, err error) {
	start := time.Now()
	err = s.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		done = sequenced{tampered: map[uuid.UUID]error{}}
		mine, err := collect(ctx, tx, pgx.RowTo[uuid.UUID], lockLogs, orgs)
		if err != nil || len(mine) == 0 {
			return err
		}
		logs, err := frontiers(ctx, tx, mine, done.tampered)
		if err != nil || len(logs) == 0 {
			return err
		}
		pending, err := collect(ctx, tx, pgx.RowToStructByPos[pendingLeaf], claimPending, slices.Collect(maps.Keys(logs)), sequenceBatch)
		if err != nil || len(pending) == 0 {
			return err
		}
		slices.SortFunc(pending, func(a, b pendingLeaf) int { return cmp.Compare(a.ID, b.ID) })
		for _, p := range pending {
			done.ages = append(done.ages, p.Age)
		}
		return grow(ctx, tx, logs, pending, keys)
	})
	if tenantdb.Violates(err, "leaves_pkey") || tenantdb.Violates(err, "nodes_pkey") {
		err = fmt.Errorf("%w: %w", errTampered, err) // somebody else wrote there
	}
	if err != nil {
		return sequenced{}, fmt.Errorf("audit: sequence: %w", err)
	}
	for i := range done.ages {
		done.ages[i] += time.Since(start).Seconds()
	}
	return done, nil
}

func collect[T any](ctx context.Context, tx pgx.Tx, row pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, row)
}

// frontiers are the right edges of logs. One that does not add up goes into tampered.
func frontiers(ctx context.Context, tx pgx.Tx, orgs []uuid.UUID, tampered map[uuid.UUID]error) (map[uuid.UUID]*ledger.Frontier, error) {
	type row struct {
		Org            uuid.UUID
		Size           int64
		Root, Frontier []byte
	}
	rows, err := collect(ctx, tx, pgx.RowToStructByPos[row], readLogs, orgs)
	if err != nil {
		return nil, err
	}
	logs := make(map[uuid.UUID]*ledger.Frontier, len(orgs))
	for _, org := range orgs {
		logs[org] = new(ledger.Frontier)
	}
	for _, r := range rows {
		f, err := logState{Size: r.Size, Root: r.Root, Frontier: r.Frontier}.parse()
		if err != nil {
			tampered[r.Org] = err
			delete(logs, r.Org)
			continue
		}
		logs[r.Org] = f
	}
	return logs, nil
}

// grown are rows to write, a column each.
type grown struct {
	leafOrgs, events, nodeOrgs []uuid.UUID
	seqs, ns                   []int64
	hashes, nodeHashes         [][]byte
	levels                     []int16
}

func (g *grown) add(f *ledger.Frontier, p pendingLeaf) {
	f.Append(tlog.Hash(p.Hash), func(n ledger.Node) {
		g.nodeOrgs, g.levels = append(g.nodeOrgs, p.Org), append(g.levels, int16(n.Level))
		g.ns, g.nodeHashes = append(g.ns, n.N), append(g.nodeHashes, n.Hash[:])
	})
	g.leafOrgs, g.seqs = append(g.leafOrgs, p.Org), append(g.seqs, f.Size())
	g.events, g.hashes = append(g.events, p.EventID), append(g.hashes, p.Hash)
}

func grow(ctx context.Context, tx pgx.Tx, logs map[uuid.UUID]*ledger.Frontier, pending []pendingLeaf, keys *ledger.Keys) error {
	var g grown
	touched := map[uuid.UUID]bool{}
	for _, p := range pending {
		if !p.Numbered {
			g.add(logs[p.Org], p)
			touched[p.Org] = true
		}
	}
	orgs := slices.Collect(maps.Keys(touched))
	sizes, signed := make([]int64, len(orgs)), make([]string, len(orgs))
	roots, edges := make([][]byte, len(orgs)), make([][]byte, len(orgs))
	for i, org := range orgs {
		f := logs[org]
		root := f.Root()
		var err error
		if signed[i], err = keys.Sign(ledger.Checkpoint{Origin: ledger.Origin(org.String()), Size: f.Size(), Root: root}); err != nil {
			return err
		}
		sizes[i], roots[i], edges[i] = f.Size(), root[:], f.Bytes()
	}
	var batch pgx.Batch
	batch.Queue(insertLeaves, g.leafOrgs, g.seqs, g.events, g.hashes)
	if len(g.ns) > 0 {
		batch.Queue(insertNodes, g.nodeOrgs, g.levels, g.ns, g.nodeHashes)
	}
	batch.Queue(saveLogs, orgs, sizes, roots, edges, signed)
	batch.Queue(notifySequenced, orgs)
	return tx.SendBatch(ctx, &batch).Close()
}

func emptyLog() logState {
	root := new(ledger.Frontier).Root()
	return logState{Root: root[:]}
}
