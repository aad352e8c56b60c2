package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"encore.app/audit/ledger"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/storage/objects"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// asOwner runs statements about one log as somebody does who holds the database: no trigger stops
// them and no policy hides a row. The tables' owner can do all that a superuser can, here.
func asOwner(t *testing.T, org uuid.UUID, statements ...string) {
	t.Helper()
	ctx := context.Background()
	tables := []string{"audit.events", "audit.leaves", "audit.nodes", "audit.logs"}
	err := testDB().Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		for _, table := range tables {
			if _, err := tx.Exec(ctx, "alter table "+table+" disable trigger user, disable row level security"); err != nil {
				return err
			}
		}
		for _, sql := range statements {
			if tag, err := tx.Exec(ctx, sql, org); err != nil || tag.RowsAffected() == 0 {
				return fmt.Errorf("%s: %d rows: %w", sql, tag.RowsAffected(), err)
			}
		}
		for _, table := range tables {
			if _, err := tx.Exec(ctx, "alter table "+table+" enable trigger user, enable row level security"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Each way to tamper is found by somebody who holds an export and a checkpoint from before.
// Not parallel: who holds the database changes tables under everybody's feet.
func TestTamperingBySQLIsFound(t *testing.T) {
	ownsTables(t)
	const forgeLeaf = "update audit.leaves set leaf_hash = sha256('forged') where org_id = $1 and seq = 100"
	for name, c := range map[string]struct {
		sql  []string // $1 is the organisation
		want string
	}{
		"change": {[]string{"update audit.events set outcome = 'failed' where org_id = $1 and id = (select event_id from audit.leaves where org_id = $1 and seq = 100)"},
			"entry 100 "},
		"change a leaf": {[]string{forgeLeaf}, "entry 100 "},
		"change an event and its leaf and what is above": {[]string{
			"update audit.events set outcome = 'failed' where org_id = $1 and id = (select event_id from audit.leaves where org_id = $1 and seq = 100)",
			forgeLeaf, "update audit.nodes set hash = sha256('forged') where org_id = $1"}, "entry 100 "},
		"delete a payload": {[]string{"delete from audit.events where org_id = $1 and id = (select event_id from audit.leaves where org_id = $1 and seq = 100)"},
			"entry 100 (event"},
		"delete": {[]string{
			"delete from audit.events where org_id = $1 and id = (select event_id from audit.leaves where org_id = $1 and seq = 100)",
			"delete from audit.leaves where org_id = $1 and seq = 100"}, "entry 100: removed"},
		"delete and close the gap": {[]string{
			"delete from audit.leaves where org_id = $1 and seq = 100",
			"update audit.leaves set seq = seq + 1000 where org_id = $1 and seq > 100",
			"update audit.leaves set seq = seq - 1001 where org_id = $1 and seq > 1000"}, "entry 300: removed"},
		"insert": {[]string{
			"insert into audit.leaves (org_id, seq, event_id, leaf_hash) select org_id, 301, gen_random_uuid(), leaf_hash from audit.leaves where org_id = $1 and seq = 1",
			"update audit.logs set size = 301 where org_id = $1"}, "inserted"},
		"swap payloads": {[]string{`
update audit.events e set occurred_at = o.occurred_at, changes = o.changes, personal = o.personal
  from audit.events o, audit.leaves a, audit.leaves b
 where a.org_id = $1 and a.seq = 100 and b.org_id = $1 and b.seq = 200 and e.org_id = $1 and o.org_id = $1
   and ((e.id = a.event_id and o.id = b.event_id) or (e.id = b.event_id and o.id = a.event_id))`}, "entry 200 "},
		"swap": {[]string{
			"update audit.leaves set seq = 1000 where org_id = $1 and seq = 100",
			"update audit.leaves set seq = 100 where org_id = $1 and seq = 200",
			"update audit.leaves set seq = 200 where org_id = $1 and seq = 1000"}, "among the entries 1 to 256"},
		"empty the payloads": {[]string{"delete from audit.events where org_id = $1"}, "entry 300: the payloads up to here were removed"},
		"empty":              {[]string{"delete from audit.events where org_id = $1", "delete from audit.leaves where org_id = $1"}, "entry 1: removed, and all up to 300"},
		"empty all":          {[]string{"delete from audit.events where org_id = $1", "delete from audit.leaves where org_id = $1", "delete from audit.nodes where org_id = $1", "delete from audit.logs where org_id = $1"}, "rolled back"},
	} {
		t.Run(name, func(t *testing.T) {
			s, org := testService(t), rowid.New()
			fill(t, s.store, org, 300)
			earlier := checkpointOf(t, s, org)
			asOwner(t, org, c.sql...)
			found := ""
			for _, query := range []string{"", "proofs=true"} {
				r, err := reverify(t, s, org, query, &earlier)
				if err != nil { // the server itself cannot make sense of it
					found += err.Error() + "\n"
					continue
				}
				if r.OK() {
					t.Errorf("%q: nothing was found", query)
				}
				for _, f := range r.Findings {
					found += f.String() + "\n"
				}
			}
			if !strings.Contains(found, c.want) {
				t.Errorf("nobody said %q\n%s", c.want, found)
			}
		})
	}
}

// reverify exports what can be exported and verifies it.
func reverify(t *testing.T, s *Service, org uuid.UUID, query string, earlier *ledger.Checkpoint) (*ledger.Report, error) {
	t.Helper()
	ctx := context.Background()
	x, err := parseExport(org, query)
	if err != nil {
		t.Fatal(err)
	}
	state, err := s.store.log(ctx, org)
	if err != nil {
		return nil, err
	}
	form, err := s.formOf(ctx, x, state)
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	if err := s.stream(ctx, w, x, state.Size, form); err != nil {
		return nil, err
	}
	return ledger.Verify(bytes.NewReader(w.Body.Bytes()), ledger.Options{Keys: s.verifiers, Earlier: earlier})
}

// rollBack makes of a log what a backup from when it had size entries would.
func rollBack(t *testing.T, org uuid.UUID, was logState) {
	t.Helper()
	asOwner(t, org,
		fmt.Sprintf("delete from audit.events where org_id = $1 and id in (select event_id from audit.leaves where org_id = $1 and seq > %d)", was.Size),
		fmt.Sprintf("delete from audit.leaves where org_id = $1 and seq > %d", was.Size),
		fmt.Sprintf("update audit.logs set size = %d, root = '\\x%x', frontier = '\\x%x', checkpoint = '%s' where org_id = $1",
			was.Size, was.Root, was.Frontier, was.Checkpoint))
}

func TestARestoredBackupIsFound(t *testing.T) {
	ownsTables(t)
	ctx, s, org := context.Background(), testService(t), rowid.New()
	fill(t, s.store, org, 100)
	backup, err := s.store.log(ctx, org)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s.store, org, 100)
	earlier := checkpointOf(t, s, org)

	rollBack(t, org, backup)
	r, err := reverify(t, s, org, "", &earlier)
	if err != nil || r.OK() || !strings.Contains(r.Findings[0].String(), "rolled back: it had 200 entries once and has 100") {
		t.Errorf("%+v, %v", r, err)
	}
	fill(t, s.store, org, 150) // and it went on as if nothing had happened
	r, err = reverify(t, s, org, "", &earlier)
	if err != nil || r.OK() || !strings.Contains(r.Findings[0].String(), "rewritten: among its first 200 entries") {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := s.consistency(ctx, org, 200); err != nil {
		t.Fatal(err) // it proves a continuation of another log, which the earlier checkpoint contradicts
	}
}

// The app finds out by itself, from the checkpoints that are out of the database's reach.
func TestTheArchiveContradictsATamperedLog(t *testing.T) {
	ownsTables(t)
	ctx, s := context.Background(), testService(t)
	put := func(a *archive, org uuid.UUID) error {
		t.Helper()
		waiting, err := a.waiting(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range waiting {
			if u.Org == org {
				return a.put(ctx, u)
			}
		}
		return errors.New("nothing to archive")
	}
	fresh := func() *archive {
		t.Helper()
		a, err := newArchive(s.store, checkpointBucket(), s.keys)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for name, tamper := range map[string]func(org uuid.UUID, backup logState){
		"rolled back": func(org uuid.UUID, backup logState) { rollBack(t, org, backup) },
		"rolled back and gone on": func(org uuid.UUID, backup logState) {
			rollBack(t, org, backup)
			fill(t, s.store, org, 20)
		},
	} {
		t.Run(name, func(t *testing.T) {
			org := rowid.New()
			running := fresh()
			fill(t, s.store, org, 5)
			backup, err := s.store.log(ctx, org)
			if err == nil {
				err = put(running, org)
			}
			if err != nil {
				t.Fatal(err)
			}
			fill(t, s.store, org, 5)
			if err := put(running, org); err != nil {
				t.Fatalf("an honest log: %v", err)
			}
			tamper(org, backup)
			for which, a := range map[string]*archive{"the process that archived": running, "one that was started since": fresh()} {
				if err := put(a, org); !errors.Is(err, errContradiction) {
					t.Errorf("%s: %v", which, err)
				}
			}
		})
	}
}

// What is wrong with one log's archive holds up no other's. Not parallel: the turn is everybody's.
func TestAnArchiveThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	ctx, s := context.Background(), testService(t)
	a, err := newArchive(s.store, checkpointBucket(), s.keys)
	if err != nil {
		t.Fatal(err)
	}
	unreadable, fine := rowid.New(), rowid.New()
	for i, org := range []uuid.UUID{unreadable, fine} {
		fill(t, s.store, org, 2)
		// They come first, in this order.
		err := exec(t, tenantdb.Platform(), "update audit.logs set signed_at = to_timestamp($2::int) where org_id = $1", org, i)
		if err != nil {
			t.Fatal(err)
		}
	}
	waiting, err := a.waiting(ctx)
	if err != nil || waiting[0].Org != unreadable {
		t.Fatal(waiting, err)
	}
	if err := upload(ctx, a.bucket, waiting[0].prefix()+fmt.Sprintf("%020d", 1), "no checkpoint"); err != nil {
		t.Fatal(err)
	}
	if err := a.put(ctx, waiting[0]); !errors.Is(err, errUnreadable) || !strings.Contains(err.Error(), unreadable.String()) {
		t.Errorf("it says %v", err)
	}
	if err := newSequencer(s.store, s.keys, a).put(ctx); err != nil {
		t.Fatal(err)
	}
	archived, err := tenantdb.Rows(ctx, s.store.db, tenantdb.Platform(), pgx.RowTo[int64],
		"select archived from audit.logs where org_id in ($1, $2) order by signed_at", unreadable, fine)
	if err != nil || !slices.Equal(archived, []int64{0, 2}) {
		t.Errorf("archived %v, %v", archived, err)
	}
	waits := func() bool {
		t.Helper()
		waiting, err := a.waiting(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(waiting, func(u unarchived) bool { return u.Org == unreadable })
	}
	if waits() {
		t.Error("it takes a place in the next turn, too")
	}
	if a.aside[unreadable] = time.Now(); !waits() {
		t.Error("it is never tried again")
	}
}

// misled is a bucket that looks for another object than it is asked for.
type misled struct {
	bucket
	to string
}

func (m misled) Download(ctx context.Context, _ string, options ...objects.DownloadOption) *objects.Reader {
	return m.bucket.Download(ctx, m.to, options...)
}

// A bucket that fails, as it does where there can be no such object, is no fault of the log's.
func TestOnlyAMissingCheckpointIsUnreadable(t *testing.T) {
	t.Parallel()
	ctx, s := context.Background(), testService(t)
	u := unarchived{Org: rowid.New(), Instance: rowid.New(), Size: 1}
	if err := upload(ctx, checkpointBucket(), u.object(), "a checkpoint"); err != nil {
		t.Fatal(err)
	}
	for to, unreadable := range map[string]bool{"gone": true, "": false} {
		a, err := newArchive(s.store, misled{checkpointBucket(), to}, s.keys)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.before(ctx, u); err == nil || errors.Is(err, errUnreadable) != unreadable {
			t.Errorf("%q: %v", to, err)
		}
	}
}

// A log whose stored state was changed is not extended: that would sign the change.
func TestASequencerSignsNoTamperedState(t *testing.T) {
	ownsTables(t)
	ctx, s, org := context.Background(), testService(t), rowid.New()
	for name, sql := range map[string]string{
		"root":     "update audit.logs set root = sha256('forged') where org_id = $1",
		"frontier": "update audit.logs set frontier = sha256('forged') || sha256('forged') where org_id = $1",
		"a leaf ahead": `insert into audit.leaves (org_id, seq, event_id, leaf_hash)
			select $1, size + 1, gen_random_uuid(), sha256('forged') from audit.logs where org_id = $1`,
	} {
		org = rowid.New()
		fill(t, s.store, org, 6)
		asOwner(t, org, sql)
		if err := s.store.append(ctx, newEvent(org)); err != nil {
			t.Fatal(err)
		}
		done, err := s.store.sequence(ctx, []uuid.UUID{org}, s.keys)
		if !errors.Is(err, errTampered) && !errors.Is(done.tampered[org], errTampered) || len(done.ages) > 0 {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
	}
}
