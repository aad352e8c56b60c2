package db

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"encore.dev/internal/registry"
)

// A test run has, for each database of the app, a template that nobody
// connects to once it is migrated, one copy that all test packages of the run
// share, and a copy per call of [Clone]. Every one of them carries a comment
// that starts with testMark: only such databases are ever dropped.
const testMark = "test database of the encore.dev host; migrations "

const setUpTimeout = 2 * time.Minute

var runName = regexp.MustCompile(`^[a-z0-9_]{1,16}$`)

// testRun names the run: one `host test`, or every plain `go test` on the machine.
func testRun() (string, error) {
	run := os.Getenv("HOST_TEST_RUN")
	if run == "" {
		return "local", nil
	}
	if !runName.MatchString(run) {
		return "", fmt.Errorf("HOST_TEST_RUN must match %s", runName)
	}
	return run, nil
}

// testName is the physical name of a run's shared database. Postgres cuts
// names at 63 bytes, so a long one is shortened here, where it stays unique.
func testName(name, run string) string {
	if len(name) > 24 {
		sum := sha256.Sum256([]byte(name))
		name = name[:15] + "_" + hex.EncodeToString(sum[:4])
	}
	return name + "_test_" + run
}

// sharedTestDatabase returns the database that the test packages of this run
// share, creating and migrating it if this is the first use.
func sharedTestDatabase(ctx context.Context, name string) (*target, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), setUpTimeout)
	defer cancel()
	s, err := openTestServer(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.shared(ctx, name, registry.Process().Migrations(name))
}

// testServer is a connection to the test server's maintenance database.
type testServer struct {
	conn  *pgx.Conn
	login *pgx.ConnConfig
	run   string
}

func openTestServer(ctx context.Context) (*testServer, error) {
	run, err := testRun()
	if err != nil {
		return nil, err
	}
	return openServer(ctx, run)
}

func openServer(ctx context.Context, run string) (*testServer, error) {
	cfg, variable, err := login("", true)
	if err != nil {
		return nil, err
	}
	maintenance := cfg.Copy()
	maintenance.Database = "postgres"
	conn, err := connect(ctx, maintenance)
	if pgErr := (*pgconn.PgError)(nil); errors.As(err, &pgErr) && pgErr.Code == "3D000" { // no such database
		conn, err = connect(ctx, cfg)
	}
	if err != nil {
		return nil, unreachable(variable, maintenance, err)
	}
	return &testServer{conn: conn, login: cfg, run: run}, nil
}

func (s *testServer) close() { _ = s.conn.Close(context.Background()) }

// shared sets up template and shared copy. Test binaries of one run do it one
// after the other; all but the first find it done.
func (s *testServer) shared(ctx context.Context, name string, files []registry.Migration) (*target, error) {
	database := testName(name, s.run)
	unlock, err := lock(ctx, s.conn, "test "+database)
	if err != nil {
		return nil, err
	}
	defer unlock()

	template, want := database+"_tmpl", fingerprint(files)
	have, exists, err := s.mark(ctx, template)
	if err != nil {
		return nil, err
	}
	// A binary that only names the database brings no migrations and takes it
	// as it is. Edited migrations need a new one.
	if exists && have != want && have != "" && want != "" {
		if err := errors.Join(s.drop(ctx, template), s.drop(ctx, database)); err != nil {
			return nil, err
		}
		exists = false
	}
	if !exists {
		if err := s.create(ctx, template, ""); err != nil {
			return nil, err
		}
	}
	if want != "" && (!exists || have != want) {
		if err := s.migrate(ctx, template, name, files); err != nil {
			return nil, err
		}
	}
	if _, copied, err := s.mark(ctx, database); err != nil {
		return nil, err
	} else if !copied {
		if err := s.create(ctx, database, template); err != nil {
			return nil, err
		}
		if err := s.setMark(ctx, database, want); err != nil {
			return nil, err
		}
	} else if want != "" && have != want {
		if err := s.migrate(ctx, database, name, files); err != nil {
			return nil, err
		}
	}
	return s.target(ctx, name, database)
}

// migrate brings one test database up to date and marks it.
func (s *testServer) migrate(ctx context.Context, database, name string, files []registry.Migration) error {
	cfg := s.login.Copy()
	cfg.Database = database
	conn, err := connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	if _, err := migrate(ctx, conn, name, files); err != nil {
		return err
	}
	return s.setMark(ctx, database, fingerprint(files))
}

// target makes connections as the app would have them: under row-level security.
func (s *testServer) target(ctx context.Context, name, database string) (*target, error) {
	cfg := s.login.Copy()
	cfg.Database = database
	// One role for all test databases of the name: roles outlive databases.
	return serviceTarget(ctx, s.conn, cfg, testName(name, "service"), true)
}

func (s *testServer) create(ctx context.Context, database, template string) error {
	sql := `CREATE DATABASE ` + pgx.Identifier{database}.Sanitize()
	if template != "" {
		sql += ` TEMPLATE ` + pgx.Identifier{template}.Sanitize()
	}
	if _, err := s.conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("create test database %q: %w", database, err)
	}
	return s.setMark(ctx, database, "")
}

func (s *testServer) drop(ctx context.Context, database string) error {
	_, err := s.conn.Exec(ctx, `DROP DATABASE IF EXISTS `+pgx.Identifier{database}.Sanitize()+` WITH (FORCE)`)
	return err
}

// mark reads the fingerprint of the migrations that a test database has had.
func (s *testServer) mark(ctx context.Context, database string) (fingerprint string, exists bool, err error) {
	var comment string
	err = s.conn.QueryRow(ctx, `SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = $1`, database).Scan(&comment)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	fingerprint, ours := strings.CutPrefix(comment, testMark)
	if !ours {
		return "", false, fmt.Errorf("database %q exists and is not a test database; rename or drop it", database)
	}
	return fingerprint, true, nil
}

func (s *testServer) setMark(ctx context.Context, database, fingerprint string) error {
	_, err := s.conn.Exec(ctx, `COMMENT ON DATABASE `+pgx.Identifier{database}.Sanitize()+` IS '`+testMark+fingerprint+`'`)
	return err
}

func fingerprint(files []registry.Migration) string {
	if len(files) == 0 {
		return ""
	}
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%d %q %q\n", f.Number, f.Name, f.SQL)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
