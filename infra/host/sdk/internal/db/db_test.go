//go:build stockhost

package db

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"encore.dev/internal/db/pgtest"
	"encore.dev/internal/part"
	"encore.dev/internal/registry"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var serial atomic.Int64

// freshDatabase makes an empty database and returns a superuser's login to it.
func freshDatabase(t *testing.T) *pgx.ConnConfig {
	t.Helper()
	admin := open(t, mustParse(t, os.Getenv("DATABASE_URL")))
	name := fmt.Sprintf("fresh_%d_%d", os.Getpid(), serial.Add(1))
	mustExec(t, admin, `CREATE DATABASE `+name)
	t.Cleanup(func() {
		ctx := context.Background()
		conn, err := pgx.ConnectConfig(ctx, mustParse(t, os.Getenv("DATABASE_URL")))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx) //nolint:errcheck // test
		for _, sql := range []string{`DROP DATABASE ` + name + ` WITH (FORCE)`, `DROP ROLE IF EXISTS ` + name + `_service`} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				t.Error(err)
			}
		}
	})
	cfg := mustParse(t, os.Getenv("DATABASE_URL"))
	cfg.Database = name
	return cfg
}

func mustParse(t *testing.T, url string) *pgx.ConnConfig {
	t.Helper()
	cfg, err := parse(url, "DATABASE_URL")
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func open(t *testing.T, cfg *pgx.ConnConfig) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func mustExec(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func scan[T any](t *testing.T, conn *pgx.Conn, sql string) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func files(sql ...string) []registry.Migration {
	var list []registry.Migration
	for i, s := range sql {
		list = append(list, registry.Migration{Number: uint64(i + 1), Name: fmt.Sprintf("%d_step.up.sql", i+1), SQL: s})
	}
	return list
}

func TestMigrateAppliesEachFileOnce(t *testing.T) {
	t.Parallel()
	conn := open(t, freshDatabase(t))
	first := files(`CREATE TABLE a (n int); INSERT INTO a VALUES (1);`)
	second := append(first, registry.Migration{Number: 7, Name: "7_more.up.sql", SQL: `INSERT INTO a VALUES (2)`})
	for _, step := range []struct {
		files   []registry.Migration
		version uint64
		rows    int
	}{{first, 1, 1}, {first, 1, 1}, {second, 7, 2}, {second, 7, 2}} {
		s, err := migrate(t.Context(), conn, "app", step.files)
		if err != nil {
			t.Fatal(err)
		}
		if s.version != step.version || s.newer() {
			t.Errorf("schema = %+v, want version %d", s, step.version)
		}
		if n := scan[int](t, conn, `SELECT count(*) FROM a`); n != step.rows {
			t.Errorf("%d rows, want %d", n, step.rows)
		}
	}
}

func TestMigrateLeavesNothingOfAFailedFile(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]string{
		"broken SQL":      `CREATE TABLE b (n int); SELECT nonsense FROM nowhere;`,
		"own transaction": `CREATE TABLE b (n int); COMMIT; CREATE TABLE c (n int);`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := open(t, freshDatabase(t))
			_, err := migrate(t.Context(), conn, "app", files(`CREATE TABLE a (n int)`, bad))
			if e := (*MigrationError)(nil); !errors.As(err, &e) || e.File != "2_step.up.sql" {
				t.Fatalf("err = %v, want a MigrationError of file 2", err)
			}
			if v := scan[uint64](t, conn, `SELECT version FROM schema_migrations WHERE NOT dirty`); v != 1 {
				t.Errorf("version = %d, want 1", v)
			}
			if name == "broken SQL" && scan[bool](t, conn, `SELECT to_regclass('b') IS NOT NULL`) {
				t.Error("the failed file left its table")
			}
		})
	}
}

func TestMigrateRefusesDirtyAndAllowsNewer(t *testing.T) {
	t.Parallel()
	conn := open(t, freshDatabase(t))
	one := files(`SELECT 1`)
	mustExec(t, conn, createVersionTable)
	mustExec(t, conn, `INSERT INTO schema_migrations VALUES (9, false)`)
	s, err := migrate(t.Context(), conn, "app", one)
	if err != nil || !s.newer() {
		t.Fatalf("newer schema: %+v, %v", s, err)
	}
	mustExec(t, conn, `UPDATE schema_migrations SET dirty = true`)
	_, err = migrate(t.Context(), conn, "app", one)
	if e := (*SchemaError)(nil); !errors.As(err, &e) {
		t.Fatalf("dirty schema: %v, want a SchemaError", err)
	}
}

func TestReplicasMigrateTogether(t *testing.T) {
	t.Parallel()
	cfg := freshDatabase(t)
	steps := files(`CREATE TABLE a (n int)`, `INSERT INTO a VALUES (1)`, `INSERT INTO a VALUES (2)`)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		conn := open(t, cfg)
		wg.Go(func() { _, errs[i] = migrate(t.Context(), conn, "app", steps) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := scan[int](t, open(t, cfg), `SELECT count(*) FROM a`); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

func TestCurrentNeedsTheMigrationsOfTheCode(t *testing.T) {
	t.Parallel()
	conn := open(t, freshDatabase(t))
	steps := files(`SELECT 1`, `SELECT 2`)
	for _, version := range []int{-1, 1, 2, 3} {
		if version == 1 {
			mustExec(t, conn, createVersionTable)
			mustExec(t, conn, `INSERT INTO schema_migrations VALUES (1, false)`)
		}
		if version > 1 {
			mustExec(t, conn, `UPDATE schema_migrations SET version = $1`, version)
		}
		err := current(t.Context(), conn, "app", steps)
		if ok := version >= 2; ok != (err == nil) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// The app must be bound by policies although it was given a superuser's login.
func TestServiceRoleIsBoundByRowLevelSecurity(t *testing.T) {
	t.Parallel()
	cfg := freshDatabase(t)
	login := open(t, cfg)
	_, err := migrate(t.Context(), login, "app", files(`
		CREATE TABLE doc (id bigserial PRIMARY KEY, tenant text);
		ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
		CREATE POLICY one ON doc USING (tenant = current_setting('app.tenant', true));
		INSERT INTO doc (tenant) VALUES ('acme'), ('globex');`))
	if err != nil {
		t.Fatal(err)
	}
	tgt, err := serviceTarget(t.Context(), login, cfg, cfg.Database+"_service", true)
	if err != nil {
		t.Fatal(err)
	}
	h := newHandle("app", nil)
	h.settle(tgt)
	t.Cleanup(func() { _ = h.close(context.Background()) })

	tx, err := h.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background()) //nolint:errcheck // test
	var rows int
	if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM doc`).Scan(&rows); err != nil || rows != 0 {
		t.Fatalf("without a tenant: %d rows, %v", rows, err)
	}
	for _, sql := range []string{`RESET ROLE`, `SELECT set_config('app.tenant', 'acme', true)`, `INSERT INTO doc (tenant) VALUES ('acme')`} {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM doc`).Scan(&rows); err != nil || rows != 2 {
		t.Fatalf("as acme: %d rows, %v, want 2", rows, err)
	}
	if _, err := tx.Exec(t.Context(), `DROP TABLE doc`); err == nil {
		t.Error("the service role may change the schema")
	}
}

func TestAConnectionThatBypassesPoliciesIsRefused(t *testing.T) {
	t.Parallel()
	h := newHandle("app", nil)
	h.settle(&target{login: freshDatabase(t)})
	t.Cleanup(func() { _ = h.close(context.Background()) })
	if err := h.Pool().Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "bypasses row-level security") {
		t.Fatalf("err = %v", err)
	}
}

func TestPlainOwnerKeepsItsRole(t *testing.T) {
	t.Parallel()
	cfg := freshDatabase(t)
	admin := open(t, cfg)
	owner := cfg.Database + "_owner"
	mustExec(t, admin, `CREATE ROLE `+owner+` LOGIN PASSWORD 'pw'`)
	t.Cleanup(func() { mustExecCtx(context.Background(), t, cfg, `DROP OWNED BY `+owner+`; DROP ROLE `+owner) })
	mustExec(t, admin, `GRANT ALL ON SCHEMA public TO `+owner)
	plain := cfg.Copy()
	plain.User, plain.Password = owner, "pw"
	tgt, err := serviceTarget(t.Context(), open(t, plain), plain, "unused", true)
	if err != nil || tgt.role != "" {
		t.Fatalf("target = %+v, %v", tgt, err)
	}
}

func mustExecCtx(ctx context.Context, t *testing.T, cfg *pgx.ConnConfig, sql string) {
	t.Helper()
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // test
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Error(err)
	}
}

func TestLoginErrorsNameTheVariableAndNoPassword(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		only bool
		want string
	}{
		"unset":                 {map[string]string{}, true, "DATABASE_URL is not set"},
		"unset, several":        {map[string]string{"DATABASE_URL": "postgres://u:hunter2@h/d"}, false, "DATABASE_URL_MY_APP is not set"},
		"not a URL":             {map[string]string{"DATABASE_URL": "postgres://u:hunter2@h:port/d"}, true, "DATABASE_URL is not a Postgres URL"},
		"nobody listens there":  {map[string]string{"DATABASE_URL": "postgres://u:hunter2@127.0.0.1:1/d"}, true, "DATABASE_URL names a database that cannot be reached (d at 127.0.0.1:1)"},
		"own variable is first": {map[string]string{"DATABASE_URL": os.Getenv("DATABASE_URL"), "DATABASE_URL_MY_APP": "postgres://u:hunter2@127.0.0.1:1/d"}, true, "DATABASE_URL_MY_APP names"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DATABASE_URL", "")
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			_, err := newHandle("my-app", nil).prepare(t.Context(), tc.only, true)
			if e := (*part.Error)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("err = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestStartMigratesAndOpens(t *testing.T) {
	cfg := freshDatabase(t)
	u, err := url.Parse(os.Getenv("DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + cfg.Database
	t.Setenv("DATABASE_URL", u.String())
	h := newHandle("app", nil)
	if err := h.Pool().Ping(t.Context()); err == nil {
		t.Fatal("a handle works before the start")
	}
	if err := h.start(t.Context(), true, true); err != nil {
		t.Fatal(err)
	}
	var user string
	if err := h.Pool().QueryRow(t.Context(), `SELECT current_user`).Scan(&user); err != nil || user != cfg.Database+"_service" {
		t.Fatalf("user = %q, %v", user, err)
	}
	if err := h.close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
