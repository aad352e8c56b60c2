package postgres

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestCluster runs everything that a checkout does with its cluster, below a directory that only
// this user may enter, as mktemp makes them.
func TestCluster(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	private := t.TempDir()
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	config := testConfig(t, filepath.Join(private, "postgres"))
	first, err := Start(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Stop()

	app := connect(t, first.URL())
	var user string
	var super, createDB, owner bool
	err = app.QueryRow(ctx, `SELECT rolname, rolsuper, rolcreatedb,
	       (SELECT datdba = r.oid FROM pg_database WHERE datname = current_database())
	  FROM pg_roles r WHERE rolname = current_user`).Scan(&user, &super, &createDB, &owner)
	if err != nil {
		t.Fatal(err)
	}
	if user != "tenantry" || super || !createDB || !owner {
		t.Errorf("the app is %s (superuser %v, createdb %v, owner %v), want plain tenantry that owns its database", user, super, createDB, owner)
	}
	if _, err := app.Exec(ctx, `CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{"fsync": "on", "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
	admin := connect(t, first.SuperuserURL())
	for name, want := range settings {
		var got string
		if err := admin.QueryRow(ctx, `SELECT current_setting($1)`, name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
	}
	wrong := strings.Replace(first.URL(), first.passwords.App, "wrong", 1)
	if _, err := Version(ctx, wrong); err == nil {
		t.Error("a wrong password was accepted")
	}
	first.Stop()

	config.Port = freePort(t)
	second, err := Start(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Stop()
	var n int
	if err := connect(t, second.URL()).QueryRow(ctx, `SELECT n FROM kept`).Scan(&n); err != nil || n != 1 {
		t.Errorf("after a restart: %d, %v; want the row that was written", n, err)
	}
}

func TestCutShortInitdbIsRepeated(t *testing.T) {
	t.Parallel()
	config := testConfig(t, filepath.Join(t.TempDir(), "postgres"))
	config.Durable = false
	if err := os.MkdirAll(filepath.Join(config.DataDir+".new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	cluster, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	cluster.Stop()
}

func TestLostPasswordsAreSaid(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "postgres")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "make reset") {
		t.Errorf("error %v, want the way out", err)
	}
}

func TestFindBin(t *testing.T) {
	t.Parallel()
	found, err := FindBin("", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := FindBin(found, t.TempDir()); err != nil || got != found {
		t.Errorf("FindBin(%q) = %q, %v", found, got, err)
	}
	if _, err := FindBin(t.TempDir(), ""); err == nil || !strings.Contains(err.Error(), "POSTGRES_BIN") {
		t.Errorf("error %v, want one that names POSTGRES_BIN", err)
	}
}

func TestClosedToOthers(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	inner := filepath.Join(top, "a", "b")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(top, 0o700); err != nil {
		t.Fatal(err)
	}
	if closed, err := closedToOthers(inner); err != nil || !closed {
		t.Errorf("below a 0700 directory: %v, %v", closed, err)
	}
	if closed, err := closedToOthers("/usr/bin"); err != nil || closed {
		t.Errorf("/usr/bin: %v, %v", closed, err)
	}
	if _, err := closedToOthers(filepath.Join(top, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

func testConfig(t *testing.T, dataDir string) Config {
	t.Helper()
	bin, err := FindBin("", dataDir)
	if err != nil {
		t.Fatal(err)
	}
	logs := t.TempDir()
	return Config{
		BinDir: bin, DataDir: dataDir, Port: freePort(t), Durable: true,
		LogFile: filepath.Join(logs, "postgres.log"), PIDFile: filepath.Join(logs, "postgres.pid"), Logf: t.Logf,
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
