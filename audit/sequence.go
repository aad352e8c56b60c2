package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	EventID  uuid.UUID
	Hash     []byte
	Age      float64 // seconds
	Numbered bool    // its event has a leaf: it came again after retention had removed it
}

const (
	// One replica at a time grows a log; the others turn to other logs.
	lockLog = "select pg_try_advisory_xact_lock(hashtextextended($1::text, 0))"

	claimPending = `
delete from audit.pending p
 where id in (select id from audit.pending where org_id = $1 order by id limit $2)
returning id, event_id, leaf_hash, extract(epoch from clock_timestamp() - recorded_at)::float8,
          exists (select from audit.leaves l where l.org_id = $1 and l.event_id = p.event_id)`

	insertLeaves = `
insert into audit.leaves (org_id, seq, event_id, leaf_hash)
select $1, $2 + ord, event_id, leaf_hash from unnest($3::uuid[], $4::bytea[]) with ordinality as x (event_id, leaf_hash, ord)`

	insertNodes = `
insert into audit.nodes (org_id, level, n, hash)
select $1, level, n, hash from unnest($2::smallint[], $3::bigint[], $4::bytea[]) as x (level, n, hash)`

	saveLog = `
insert into audit.logs (org_id, size, root, frontier, checkpoint, signed_at) values ($1, $2, $3, $4, $5, now())
on conflict (org_id) do update
   set size = excluded.size, root = excluded.root, frontier = excluded.frontier,
       checkpoint = excluded.checkpoint, signed_at = excluded.signed_at`
)

// waiting are the logs that have leaves to number.
func (s store) waiting(ctx context.Context) ([]uuid.UUID, error) {
	orgs, err := tenantdb.Rows(ctx, s.db, tenantdb.Platform(), pgx.RowTo[uuid.UUID], "select distinct org_id from audit.pending")
	if err != nil {
		return nil, fmt.Errorf("audit: pending: %w", err)
	}
	return orgs, nil
}

// sequence numbers the next leaves of one log, grows its tree and signs the result, all in one
// transaction. It gives the age of each leaf; none if there was nothing to do or another replica does it.
func (s store) sequence(ctx context.Context, org uuid.UUID, keys *ledger.Keys) (ages []float64, err error) {
	start := time.Now()
	err = s.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		var mine bool
		if err := tx.QueryRow(ctx, lockLog, org.String()).Scan(&mine); err != nil || !mine {
			return err
		}
		state, err := readLog(ctx, tx, org)
		if err != nil {
			return err
		}
		frontier, err := state.parse()
		if err != nil {
			return err
		}
		found, err := tx.Query(ctx, claimPending, org, sequenceBatch)
		if err != nil {
			return err
		}
		pending, err := pgx.CollectRows(found, pgx.RowToStructByPos[pendingLeaf])
		if err != nil || len(pending) == 0 {
			return err
		}
		slices.SortFunc(pending, func(a, b pendingLeaf) int { return cmp.Compare(a.ID, b.ID) })
		for _, p := range pending {
			ages = append(ages, p.Age)
		}
		return s.grow(ctx, tx, org, frontier, pending, keys)
	})
	if tenantdb.Violates(err, "leaves_pkey") || tenantdb.Violates(err, "nodes_pkey") {
		err = fmt.Errorf("%w: %w", errTampered, err) // somebody else wrote there
	}
	if err != nil {
		return nil, fmt.Errorf("audit: sequence %s: %w", org, err)
	}
	for i := range ages {
		ages[i] += time.Since(start).Seconds()
	}
	return ages, nil
}

func readLog(ctx context.Context, tx pgx.Tx, org uuid.UUID) (logState, error) {
	found, err := tx.Query(ctx, "select size, root, frontier, checkpoint, archived from audit.logs where org_id = $1", org)
	if err != nil {
		return logState{}, err
	}
	state, err := pgx.CollectExactlyOneRow(found, pgx.RowToStructByPos[logState])
	if errors.Is(err, pgx.ErrNoRows) {
		return emptyLog(), nil
	}
	return state, err
}

func emptyLog() logState {
	root := new(ledger.Frontier).Root()
	return logState{Root: root[:]}
}

func (s store) grow(ctx context.Context, tx pgx.Tx, org uuid.UUID, f *ledger.Frontier, pending []pendingLeaf, keys *ledger.Keys) error {
	first := f.Size()
	var events []uuid.UUID
	var hashes, nodeHashes [][]byte
	var levels []int16
	var ns []int64
	for _, p := range pending {
		if p.Numbered {
			continue
		}
		events, hashes = append(events, p.EventID), append(hashes, p.Hash)
		f.Append(tlog.Hash(p.Hash), func(n ledger.Node) {
			levels, ns, nodeHashes = append(levels, int16(n.Level)), append(ns, n.N), append(nodeHashes, n.Hash[:])
		})
	}
	root := f.Root()
	signed, err := keys.Sign(ledger.Checkpoint{Origin: ledger.Origin(org.String()), Size: f.Size(), Root: root})
	if err != nil {
		return err
	}
	var batch pgx.Batch
	batch.Queue(insertLeaves, org, first, events, hashes)
	if len(ns) > 0 {
		batch.Queue(insertNodes, org, levels, ns, nodeHashes)
	}
	batch.Queue(saveLog, org, f.Size(), root[:], f.Bytes(), signed)
	batch.Queue("select pg_notify($1, $2)", sequencedChannel, org.String())
	return tx.SendBatch(ctx, &batch).Close()
}
