//go:build acceptance && local

package acceptance

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"encore.app/audit/ledger"
	"encore.app/infra/devstack/postgres"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// drill is an installation whose database is backed up while it works.
type drill struct {
	dir       string
	bin       string
	key       string
	verifiers note.Verifiers
}

// cluster starts one in the drill's directory.
func (d *drill) cluster(t *testing.T, name, archive string) *postgres.Cluster {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	file := func(suffix string) string { return filepath.Join(d.dir, name+suffix) }
	c, err := postgres.Start(t.Context(), postgres.Config{
		BinDir: d.bin, DataDir: file(""), LogFile: file(".log"), PIDFile: file(".pid"), Port: n, Durable: true, Archive: archive, Logf: t.Logf,
	})
	if err != nil {
		log, _ := os.ReadFile(file(".log"))
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(c.Stop)
	return c
}

func (d *drill) app(t *testing.T, c *postgres.Cluster) *app {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a, err := startApp(ctx, appConfig{database: c.URL(), seed: true, unset: []string{"RABBITMQ_URL", "REDIS_URL"}, env: []string{
		"AUDIT_SIGNING_KEY=" + d.key, "OBJECT_STORE_URL=file://" + filepath.Join(d.dir, "objects"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	return a
}

// super opens the app's database with all rights.
func super(t *testing.T, c *postgres.Cluster) *pgx.Conn {
	t.Helper()
	u, err := url.Parse(c.SuperuserURL())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/tenantry"
	conn, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// rowCounts counts what the services' tables hold.
func rowCounts(t *testing.T, conn *pgx.Conn) map[string]int {
	t.Helper()
	rows, err := conn.Query(t.Context(), `
select table_schema || '.' || table_name from information_schema.tables
 where table_type = 'BASE TABLE' and table_schema in ('orgs', 'identity', 'licensing', 'audit')`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) == 0 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	counts := map[string]int{}
	for _, name := range tables {
		var n int
		if err := conn.QueryRow(t.Context(), "select count(*) from "+name).Scan(&n); err != nil {
			t.Fatal(err)
		}
		counts[name] = n
	}
	return counts
}

// change makes projects and waits until the log has the event of each, and the object store its last
// checkpoint: then nothing of them is under way any more.
func (d *drill) change(t *testing.T, a *app, conn *pgx.Conn, n int) {
	t.Helper()
	for range n {
		if tryCreate(a, t, unique("drill")) == "" {
			t.Fatal("no project was made")
		}
	}
	eventually(t, time.Minute, "all is in the log, signed and archived", func() bool {
		var projects, events, open int
		err := conn.QueryRow(t.Context(), `
select (select count(*) from orgs.projects),
       (select count(*) from audit.events where resource_kind = 'project' and action = 'create' and outcome = 'succeeded'),
       (select count(*) from audit.pending) + (select count(*) from audit.logs where size <> archived)`).Scan(&projects, &events, &open)
		return err == nil && events >= projects && open == 0
	})
}

func (d *drill) checkpoint(t *testing.T, a *app) ledger.Checkpoint {
	t.Helper()
	p := want[loggedProof](t, at(a, t, adaOrg, "GET", acmeLog+"/checkpoint", nil), http.StatusOK)
	c, err := ledger.OpenCheckpoint(p.Checkpoint, d.verifiers)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tampered is what the app says of logs that contradict their archived checkpoints.
func tampered(t *testing.T, a *app) string {
	t.Helper()
	for line := range strings.Lines(string(at(a, t, root, "GET", "/metrics", nil).body)) {
		if value, ok := strings.CutPrefix(line, "tenantry_audit_tampered_logs "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// docs/backup.md as a test: a base backup and the WAL bring the database back to a chosen second. What
// was there then is there, to the row; what came after is gone; the log that was signed before still
// proves; and that the database went back is noticed until somebody says that it was meant to.
func TestADatabaseIsRestoredToAChosenSecond(t *testing.T) {
	dir, err := os.MkdirTemp("", "tenantry-drill-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	archive := filepath.Join(dir, "wal")
	for path, mode := range map[string]os.FileMode{dir: 0o755, archive: 0o777} { // Postgres is a user of its own
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	d := &drill{dir: dir}
	if d.bin, err = postgres.FindBin(os.Getenv("POSTGRES_BIN"), ""); err != nil {
		t.Fatal(err)
	}
	if d.key, err = ledger.GenerateKey(); err != nil {
		t.Fatal(err)
	}
	keys, err := ledger.ParseKeys(d.key, "")
	if err != nil {
		t.Fatal(err)
	}
	if d.verifiers, err = ledger.Verifiers(keys.Public()[0].VKey); err != nil {
		t.Fatal(err)
	}

	source := d.cluster(t, "source", archive)
	a, conn := d.app(t, source), super(t, source)
	d.change(t, a, conn, 20)
	early := d.checkpoint(t, a)
	began := time.Now()
	base := filepath.Join(archive, "base") // where the server's user may write
	if err := source.BaseBackup(base); err != nil {
		t.Fatal(err)
	}
	backedUp := time.Since(began)
	d.change(t, a, conn, 20)

	var second time.Time
	if err := conn.QueryRow(t.Context(), "select date_trunc('second', clock_timestamp()) + interval '1 second'").Scan(&second); err != nil {
		t.Fatal(err)
	}
	counted, signed := rowCounts(t, conn), d.checkpoint(t, a)
	eventually(t, 5*time.Second, "the second is over", func() bool {
		var over bool
		return conn.QueryRow(t.Context(), "select clock_timestamp() > $1::timestamptz + interval '100 milliseconds'", second).Scan(&over) == nil && over
	})

	d.change(t, a, conn, 20) // what will be lost
	for _, disaster := range []string{"delete from orgs.projects", "select pg_switch_wal()"} {
		if _, err := conn.Exec(t.Context(), disaster); err != nil {
			t.Fatal(err)
		}
	}
	a.kill()
	source.Stop()

	backup := filepath.Join(dir, "restored")
	if err := os.Rename(base, backup); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if err := source.Restore(backup, second); err != nil {
		t.Fatal(err)
	}
	restored := d.cluster(t, "restored", "")
	conn = super(t, restored)
	eventually(t, time.Minute, "the database takes writes", func() bool {
		var recovering bool
		return conn.QueryRow(t.Context(), "select pg_is_in_recovery()").Scan(&recovering) == nil && !recovering
	})
	restoredIn := time.Since(began)
	if got := rowCounts(t, conn); !maps.Equal(got, counted) {
		for _, name := range slices.Sorted(maps.Keys(counted)) {
			if got[name] != counted[name] {
				t.Errorf("%s has %d rows, had %d", name, got[name], counted[name])
			}
		}
	}

	a = d.app(t, restored)
	d.verify(t, a, early, signed)
	tryCreate(a, t, unique("drill")) // the log grows, and is found to contradict what was archived of it
	eventually(t, 30*time.Second, "that it went back is noticed", func() bool { return tampered(t, a) == "1" })
	a.kill()
	if _, err := conn.Exec(t.Context(), "update audit.instance set id = gen_random_uuid()"); err != nil {
		t.Fatal(err)
	}
	a = d.app(t, restored)
	d.change(t, a, conn, 20)
	if got := tampered(t, a); got != "0" {
		t.Errorf("tampered logs: %q, after it was said that the restore was meant", got)
	}
	d.verify(t, a, early, signed)
	total := 0
	for _, n := range counted {
		total += n
	}
	t.Logf("backed up in %s, restored to %s in %s: %d rows of %d tables as they were; the log of %d entries proves, and went on to %d",
		backedUp.Round(time.Millisecond), second.UTC().Format(time.RFC3339), restoredIn.Round(time.Millisecond), total, len(counted), signed.Size, d.checkpoint(t, a).Size)
}

// verify holds the whole log against checkpoints from before, and one entry's proof against the log.
func (d *drill) verify(t *testing.T, a *app, kept ...ledger.Checkpoint) {
	t.Helper()
	export := at(a, t, adaOrg, "GET", acmeLog+"/export?format=ndjson", nil)
	for _, c := range kept {
		report, err := ledger.Verify(bytes.NewReader(export.body), ledger.Options{Keys: d.verifiers, Earlier: &c})
		if err != nil || !report.OK() || !report.Complete || report.Entries < c.Size {
			t.Fatalf("against the checkpoint of %d: %v, %+v", c.Size, err, report)
		}
	}
	events := want[list[loggedEvent]](t, at(a, t, adaOrg, "GET", acmeLog+"/events?limit=1", nil), http.StatusOK).Items
	if len(events) != 1 {
		t.Fatal("the log is empty")
	}
	p := want[loggedProof](t, at(a, t, adaOrg, "GET", fmt.Sprintf("%s/events/%s/proof", acmeLog, events[0].ID), nil), http.StatusOK)
	c, err := ledger.OpenCheckpoint(p.Checkpoint, d.verifiers)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.CheckRecord(p.hashes(t), c.Size, c.Root, p.LeafIndex, rootHash(t, p.LeafHash)); err != nil {
		t.Error(err)
	}
}
