package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"encore.app/audit/ledger"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/storage/objects"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoints holds checkpoints out of the database's reach: whoever can rewrite the log there cannot
// take back what it once committed itself to. Give the bucket a retention of its own and nobody the
// right to overwrite.
var Checkpoints = objects.NewBucket("audit-checkpoints", objects.BucketConfig{})

// bucket is what the archive needs of it.
type bucket interface {
	objects.Uploader
	objects.Downloader
	objects.Lister
}

func checkpointBucket() bucket { return objects.BucketRef[bucket](Checkpoints) }

// archive puts checkpoints into the bucket, each checked against the one before it.
type archive struct {
	store     store
	bucket    bucket
	verifiers note.Verifiers
	last      map[uuid.UUID]ledger.Checkpoint // what the bucket has, as far as this process knows
	aside     map[uuid.UUID]time.Time         // until when a log is left alone
}

func newArchive(s store, b bucket, keys *ledger.Keys) (*archive, error) {
	known := make([]string, len(keys.Public()))
	for i, k := range keys.Public() {
		known[i] = k.VKey
	}
	verifiers, err := ledger.Verifiers(known...)
	if err != nil {
		return nil, err
	}
	return &archive{store: s, bucket: b, verifiers: verifiers, last: map[uuid.UUID]ledger.Checkpoint{}, aside: map[uuid.UUID]time.Time{}}, nil
}

// errContradiction says that a log does not continue what it was when its last checkpoint was archived.
var errContradiction = errors.New("audit: the log contradicts an archived checkpoint")

// errUnreadable says that the bucket has a checkpoint of a log and it is gone, or cannot be verified. A bucket
// that does not answer is another thing: no log fares better.
var errUnreadable = errors.New("audit: an archived checkpoint cannot be read")

const (
	// archiveBatch is how many logs one turn sees to.
	archiveBatch = 200
	// archiveRest is how long a log is left alone that cannot be archived: as many as a turn sees to would
	// keep every other from its turn.
	archiveRest = 10 * time.Minute
)

// unarchived is a log whose last checkpoint the bucket does not have. Instance is the database's: a
// fresh one begins a fresh archive.
type unarchived struct {
	Org        uuid.UUID
	Size       int64
	Checkpoint string
	Instance   uuid.UUID
}

func (u unarchived) prefix() string { return fmt.Sprintf("%s/%s/", u.Instance, u.Org) }

// object sorts by size.
func (u unarchived) object() string { return fmt.Sprintf("%s%020d", u.prefix(), u.Size) }

func (a *archive) waiting(ctx context.Context) ([]unarchived, error) {
	maps.DeleteFunc(a.aside, func(_ uuid.UUID, until time.Time) bool { return time.Now().After(until) })
	aside := slices.AppendSeq([]uuid.UUID{}, maps.Keys(a.aside)) // not nil, which would be null
	rows, err := tenantdb.Rows(ctx, a.store.db, tenantdb.Platform(), pgx.RowToStructByPos[unarchived], `
select l.org_id, l.size, l.checkpoint, i.id from audit.logs l, audit.instance i
 where l.size <> l.archived and not l.org_id = any($2) order by l.signed_at limit $1`, archiveBatch, aside)
	if err != nil {
		return nil, fmt.Errorf("audit: archive: %w", err)
	}
	return rows, nil
}

func (a *archive) setAside(org uuid.UUID) { a.aside[org] = time.Now().Add(archiveRest) }

// put archives one checkpoint.
func (a *archive) put(ctx context.Context, u unarchived) error {
	now, err := ledger.OpenCheckpoint(u.Checkpoint, a.verifiers)
	if err != nil {
		return fmt.Errorf("%w: %w", errContradiction, err)
	}
	before, err := a.before(ctx, u)
	if err != nil {
		return err
	}
	if err := a.consistent(ctx, u.Org, before, now); err != nil {
		return err
	}
	if err := upload(ctx, a.bucket, u.object(), u.Checkpoint); err != nil && !errors.Is(err, objects.ErrPreconditionFailed) {
		return err // another replica put the same one there
	}
	a.last[u.Org] = now
	return a.store.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "update audit.logs set archived = greatest(archived, $2) where org_id = $1", u.Org, u.Size)
		return err
	})
}

// before is the newest checkpoint of the log in the bucket.
func (a *archive) before(ctx context.Context, u unarchived) (ledger.Checkpoint, error) {
	if c, ok := a.last[u.Org]; ok {
		return c, nil
	}
	newest := ""
	for entry, err := range a.bucket.List(ctx, &objects.Query{Prefix: u.prefix()}) {
		if err != nil {
			return ledger.Checkpoint{}, err
		}
		newest = max(newest, entry.Name)
	}
	if newest == "" {
		return ledger.Checkpoint{Root: new(ledger.Frontier).Root()}, nil
	}
	text, err := download(ctx, a.bucket, newest)
	if errors.Is(err, objects.ErrObjectNotFound) {
		return ledger.Checkpoint{}, fmt.Errorf("%w: %s: %w", errUnreadable, newest, err)
	}
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	c, err := ledger.OpenCheckpoint(text, a.verifiers)
	if err != nil { // signed by a key that is not in use any more and was not kept as retired
		return ledger.Checkpoint{}, fmt.Errorf("%w: %s: %w", errUnreadable, newest, err)
	}
	return c, nil
}

// consistent checks that the log at now continues the log at before.
func (a *archive) consistent(ctx context.Context, org uuid.UUID, before, now ledger.Checkpoint) error {
	if before.Size > now.Size {
		return fmt.Errorf("%w: it had %d entries and has %d", errContradiction, before.Size, now.Size)
	}
	if before.Size == now.Size {
		if before.Root != now.Root {
			return fmt.Errorf("%w: another root at size %d", errContradiction, now.Size)
		}
		return nil
	}
	if before.Size == 0 {
		return nil
	}
	proof, err := a.store.tree(ctx, org, now.Size).Consistency(before.Size)
	if errors.Is(err, ledger.ErrMissing) {
		return fmt.Errorf("%w: %w", errContradiction, err)
	}
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, now.Size, now.Root, before.Size, before.Root); err != nil {
		return fmt.Errorf("%w: %d does not continue %d", errContradiction, now.Size, before.Size)
	}
	return nil
}

// upload writes an object that must not exist.
func upload(ctx context.Context, to objects.Uploader, name, text string) error {
	w := to.Upload(ctx, name, objects.WithPreconditions(objects.Preconditions{NotExists: true}))
	if _, err := io.WriteString(w, text); err != nil {
		w.Abort(err)
		return err
	}
	return w.Close()
}

func download(ctx context.Context, from objects.Downloader, name string) (string, error) {
	r := from.Download(ctx, name)
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}
