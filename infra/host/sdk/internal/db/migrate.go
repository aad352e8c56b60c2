package db

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/jackc/pgx/v5"

	"encore.dev/internal/registry"
)

// The table is golang-migrate's, so that either tool can go on where the other stopped.
const createVersionTable = `CREATE TABLE IF NOT EXISTS schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)`

// MigrationError says which file of which database could not be applied.
type MigrationError struct {
	Database string
	File     string
	Err      error
}

func (e *MigrationError) Error() string {
	return fmt.Sprintf("database %q: migration %s: %v", e.Database, e.File, e.Err)
}

func (e *MigrationError) Unwrap() error { return e.Err }

// SchemaError says that a database's schema is in a state the app cannot run on.
type SchemaError struct {
	Database string
	Problem  string
}

func (e *SchemaError) Error() string { return fmt.Sprintf("database %q: %s", e.Database, e.Problem) }

// schema is where a database stands against the code's migrations.
type schema struct {
	version, latest uint64
}

func (s schema) newer() bool { return s.version > s.latest }

// migrate brings the database that conn is connected to up to date. Replicas
// that start together wait for each other. Each file and its version row are
// one transaction, so a file that fails leaves nothing behind.
func migrate(ctx context.Context, conn *pgx.Conn, name string, files []registry.Migration) (schema, error) {
	unlock, err := lock(ctx, conn, "migrate "+name)
	if err != nil {
		return schema{}, err
	}
	defer unlock()

	if len(files) == 0 {
		return schema{}, nil
	}
	if _, err := conn.Exec(ctx, createVersionTable); err != nil {
		return schema{}, fmt.Errorf("database %q: schema_migrations: %w", name, err)
	}
	s, err := readSchema(ctx, conn, name, files)
	if err != nil {
		return schema{}, err
	}
	for _, f := range files {
		if f.Number <= s.version {
			continue
		}
		if err := apply(ctx, conn, f); err != nil {
			return schema{}, &MigrationError{Database: name, File: f.Name, Err: err}
		}
		s.version = f.Number
	}
	return s, nil
}

// readSchema needs the version table. A dirty schema is refused: another tool
// stopped half way and nobody but a person can know what is missing.
func readSchema(ctx context.Context, conn *pgx.Conn, name string, files []registry.Migration) (schema, error) {
	var s schema
	if len(files) > 0 {
		s.latest = files[len(files)-1].Number
	}
	var dirty bool
	err := conn.QueryRow(ctx, `SELECT version, dirty FROM schema_migrations LIMIT 1`).Scan(&s.version, &dirty)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("database %q: schema_migrations: %w", name, err)
	}
	if dirty {
		return s, &SchemaError{Database: name, Problem: fmt.Sprintf(
			"schema is dirty at version %d: a migration stopped half way; repair it, then set schema_migrations.dirty to false", s.version)}
	}
	return s, nil
}

func apply(ctx context.Context, conn *pgx.Conn, f registry.Migration) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing to roll back after a commit
	if _, err := conn.PgConn().Exec(ctx, f.SQL).ReadAll(); err != nil {
		return err
	}
	if conn.PgConn().TxStatus() != 'T' {
		return errors.New("the file ends the transaction it runs in; it must not hold BEGIN, COMMIT or ROLLBACK")
	}
	if _, err := tx.Exec(ctx, `DELETE FROM schema_migrations`); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO schema_migrations (version, dirty) VALUES ($1, false)`, f.Number); err != nil {
		return err
	}
	// A file may have set a role or a search path for itself.
	for _, reset := range []string{`RESET ALL`, `RESET ROLE`} {
		if _, err := tx.Exec(ctx, reset); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

// lock takes a session-level advisory lock by name. Such locks belong to one
// database, so the name need not hold it.
func lock(ctx context.Context, conn *pgx.Conn, name string) (unlock func(), err error) {
	key := lockKey(name)
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, key); err != nil {
		return nil, fmt.Errorf("lock %q: %w", name, err)
	}
	return func() {
		// A connection that is lost has lost the lock too.
		_, _ = conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, key)
	}, nil
}

func lockKey(name string) int64 {
	h := fnv.New64a()
	h.Write([]byte("encore.dev host: " + name))
	return int64(h.Sum64())
}
