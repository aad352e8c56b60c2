//go:build stockhost

package db

import (
	"context"
	"slices"
	"strings"
	"testing"

	"encore.dev/internal/registry"
)

func openRun(t *testing.T, run string) *testServer {
	t.Helper()
	s, err := openServer(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.close()
		if err := DropTestDatabases(context.Background(), run); err != nil {
			t.Error(err)
		}
	})
	return s
}

func count(t *testing.T, tgt *target, table string) int {
	t.Helper()
	return scan[int](t, open(t, tgt.login), `SELECT count(*) FROM `+table)
}

func TestSharedTestDatabaseFollowsTheMigrations(t *testing.T) {
	t.Parallel()
	s := openRun(t, "shared")
	ctx := t.Context()
	one := files(`CREATE TABLE a (n int)`)

	// A binary without migrations comes first, then the owner, twice.
	for i, list := range [][]registry.Migration{nil, one, one} {
		tgt, err := s.shared(ctx, "app", list)
		if err != nil {
			t.Fatal(i, err)
		}
		if tgt.role == "" || tgt.login.Database != "app_test_shared" {
			t.Fatalf("target = %+v", tgt)
		}
		if i > 0 {
			mustExec(t, open(t, tgt.login), `INSERT INTO a VALUES (1)`)
		}
	}
	tgt, err := s.shared(ctx, "app", nil)
	if err != nil || count(t, tgt, "a") != 2 {
		t.Fatalf("the shared database was not kept: %v", err)
	}
	// Edited history: the old database is of no use.
	tgt, err = s.shared(ctx, "app", files(`CREATE TABLE b (n int)`))
	if err != nil || count(t, tgt, "b") != 0 {
		t.Fatalf("edited migrations: %v", err)
	}
}

func TestForeignDatabaseIsNeverTaken(t *testing.T) {
	t.Parallel()
	s := openRun(t, "foreign")
	mustExec(t, s.conn, `CREATE DATABASE app_test_foreign`)
	t.Cleanup(func() {
		mustExecCtx(context.Background(), t, mustParse(t, s.login.ConnString()), `DROP DATABASE app_test_foreign`)
	})
	if _, err := s.shared(t.Context(), "app", nil); err == nil || !strings.Contains(err.Error(), "not a test database") {
		t.Fatalf("err = %v", err)
	}
	if err := DropTestDatabases(t.Context(), "foreign"); err != nil {
		t.Fatal(err)
	}
	if !scan[bool](t, s.conn, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'app_test_foreign')`) {
		t.Fatal("a database of somebody else was dropped")
	}
}

func TestClonesAreApartAndGoWithTheirProcess(t *testing.T) {
	t.Setenv("HOST_TEST_RUN", "clones")
	s := openRun(t, "clones")
	shared := newHandle("app", func(ctx context.Context) (*target, error) { return sharedTestDatabase(ctx, "app") })
	if _, err := shared.Pool().Exec(t.Context(), `SELECT 1`); err != nil {
		t.Fatal(err)
	}
	a, err := Clone(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Clone(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	su, err := a.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := su.Pool().Exec(t.Context(), `CREATE TABLE only_here (n int)`); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Pool().Exec(t.Context(), `INSERT INTO only_here VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Pool().Exec(t.Context(), `INSERT INTO only_here VALUES (1)`); err == nil {
		t.Fatal("two clones are one database")
	}

	// A clone whose process is gone: nobody holds its lock.
	orphan := "app_test_clones_cdeadbeef_1"
	if err := s.create(t.Context(), orphan, ""); err != nil {
		t.Fatal(err)
	}
	if err := dropOrphans(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	names, err := s.databases(t.Context(), "clones")
	if err != nil {
		t.Fatal(err)
	}
	// app_test_clones, its template, and the two clones of this process.
	if len(names) != 4 || slices.Contains(names, orphan) {
		t.Fatalf("databases = %q", names)
	}
}

func TestLongNamesStayUnique(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 40)
	a, b := testName(long+"a", "local"), testName(long+"b", "local")
	if a == b || len(a)+len("_tmpl") > 63 {
		t.Fatalf("%q and %q", a, b)
	}
}
