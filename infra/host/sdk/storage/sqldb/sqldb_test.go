//go:build stockhost

package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"encore.dev/internal/db"
	"encore.dev/internal/db/pgtest"
	"encore.dev/internal/registry"
	"encore.dev/storage/sqldb/sqlerr"
)

var books = NewDatabase("books", DatabaseConfig{Migrations: "./migrations"})

func TestMain(m *testing.M) {
	registry.Process().SetMigrations("books", []registry.Migration{{Number: 1, Name: "1_books.up.sql", SQL: `
		CREATE TABLE author (id int PRIMARY KEY);
		CREATE TABLE book (
			isbn text PRIMARY KEY, author int REFERENCES author, title text NOT NULL,
			pages int CHECK (pages > 0), shelf int4range, EXCLUDE USING gist (shelf WITH &&));`}})
	os.Exit(pgtest.Main(m))
}

// fresh is a database of the test's own.
func fresh(t *testing.T) *Database {
	t.Helper()
	h, err := db.Clone(t.Context(), "books")
	if err != nil {
		t.Fatal(err)
	}
	return forHandle(h)
}

func TestSameNameIsSameHandle(t *testing.T) {
	t.Parallel()
	if Named("books") != books {
		t.Fatal("Named gives another handle")
	}
	var n int
	if err := books.QueryRow(t.Context(), `SELECT count(*) FROM book`).Scan(&n); err != nil {
		t.Fatal(err)
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), fresh(t)
	res, err := d.Exec(ctx, `INSERT INTO book (isbn, title) VALUES ($1, 'one'), ($2, 'two')`, "1", "2")
	if err != nil || res.RowsAffected() != 2 {
		t.Fatalf("insert: %v, %v", res, err)
	}
	rows, err := d.Query(ctx, `SELECT title FROM book ORDER BY isbn`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var title string
		if err := rows.Scan(&title); err != nil {
			t.Fatal(err)
		}
		got = append(got, title)
	}
	if err := rows.Err(); err != nil || strings.Join(got, " ") != "one two" {
		t.Fatalf("rows = %q, %v", got, err)
	}
	var title string
	if err := d.QueryRow(ctx, `SELECT title FROM book WHERE isbn = 'none'`).Scan(&title); !errors.Is(err, sql.ErrNoRows) || !errors.Is(err, ErrNoRows) {
		t.Fatalf("no rows: %v", err)
	}
	if err := d.QueryRow(ctx, `SELECT nonsense`).Err(); err == nil {
		t.Fatal("a broken query has no error")
	}
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), fresh(t)
	for _, commit := range []bool{false, true} {
		tx, err := d.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO author VALUES (1)`); err != nil {
			t.Fatal(err)
		}
		end := tx.Rollback
		if commit {
			end = tx.Commit
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := d.QueryRow(ctx, `SELECT count(*) FROM author`).Scan(&n); err != nil || (n == 1) != commit {
			t.Fatalf("commit %v: %d rows, %v", commit, n, err)
		}
	}
}

func TestErrorCodes(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), fresh(t)
	if _, err := d.Exec(ctx, `INSERT INTO book (isbn, title, shelf) VALUES ('1', 'one', '[1,5]')`); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]sqlerr.Code{
		`INSERT INTO book (isbn) VALUES ('2')`:                                        sqlerr.NotNullViolation,
		`INSERT INTO book (isbn, title, author) VALUES ('2', 'x', 9)`:                 sqlerr.ForeignKeyViolation,
		`INSERT INTO book (isbn, title) VALUES ('1', 'x')`:                            sqlerr.UniqueViolation,
		`INSERT INTO book (isbn, title, pages) VALUES ('2', 'x', 0)`:                  sqlerr.CheckViolation,
		`INSERT INTO book (isbn, title, shelf) VALUES ('2', 'x', '[2,3]'::int4range)`: sqlerr.ExcludeViolation,
		`SELECT 1/0`: sqlerr.Other,
	} {
		_, err := d.Exec(ctx, query)
		if ErrCode(err) != want {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
		if e := (*Error)(nil); !errors.As(err, &e) || e.Message == "" || e.Severity != sqlerr.SeverityError {
			t.Errorf("%s: %#v", query, err)
		}
	}
	if ErrCode(nil) != sqlerr.Other || ErrCode(context.Canceled) != sqlerr.Other {
		t.Error("what the database did not report has a code")
	}
}

func TestDriverAndStdlib(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), fresh(t)
	var user string
	if err := Driver[*pgxpool.Pool](d).QueryRow(ctx, `SELECT current_user`).Scan(&user); err != nil || !strings.HasSuffix(user, "_service") {
		t.Fatalf("user = %q, %v", user, err)
	}
	conn, err := d.Stdlib().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // test
	err = DriverConn(conn, func(c *pgx.Conn) error { return c.Ping(ctx) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestHooks(t *testing.T) {
	t.Parallel()
	d := fresh(t)
	d.AddHooks(Hooks{AfterConnect: func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `SET search_path = 'hooked'`)
		return err
	}})
	var path string
	if err := d.QueryRow(t.Context(), `SHOW search_path`).Scan(&path); err != nil || path != "hooked" {
		t.Fatalf("search_path = %q, %v", path, err)
	}
}
