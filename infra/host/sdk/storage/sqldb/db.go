package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"encore.dev/internal/db"
)

// Database is a handle on one of the app's databases.
type Database struct {
	handle *db.Handle

	stdlibOnce sync.Once
	stdlib     *sql.DB
}

// DatabaseConfig configures a database.
type DatabaseConfig struct {
	// Migrations is the directory of N_name.up.sql files, relative to the package.
	Migrations string
}

// constStr can only be given as a constant.
type constStr string

var (
	databasesMu sync.Mutex
	databases   = map[string]*Database{}
)

// NewDatabase declares a database. It is for package variables.
func NewDatabase(name string, config DatabaseConfig) *Database { return named(name) }

// Named returns the database that another package declared.
func Named(name constStr) *Database { return named(string(name)) }

func named(name string) *Database {
	databasesMu.Lock()
	defer databasesMu.Unlock()
	d := databases[name]
	if d == nil {
		d = &Database{handle: db.Named(name)}
		databases[name] = d
	}
	return d
}

// Package et makes and takes apart databases; apps must not.
func init() {
	db.Expose(
		func(h *db.Handle) any { return forHandle(h) },
		func(d any) *db.Handle { return d.(*Database).handle })
}

func forHandle(h *db.Handle) *Database { return &Database{handle: h} }

// Hooks are called as connections come.
type Hooks struct {
	// AfterConnect is called on each new connection; an error gives it up.
	AfterConnect func(context.Context, *pgx.Conn) error
}

// AddHooks adds hooks for connections made from now on.
func (d *Database) AddHooks(h Hooks) {
	if h.AfterConnect != nil {
		d.handle.AddAfterConnect(h.AfterConnect)
	}
}

// Stdlib returns the database for libraries that expect a *sql.DB.
func (d *Database) Stdlib() *sql.DB {
	d.stdlibOnce.Do(func() { d.stdlib = stdlib.OpenDBFromPool(d.handle.Pool()) })
	return d.stdlib
}

// SupportedDrivers lists what [Driver] can return.
type SupportedDrivers interface{ *pgxpool.Pool }

// Driver returns the connection pool behind the database.
func Driver[T SupportedDrivers](db *Database) T { return T(db.handle.Pool()) }

// SupportedDriverConns lists what [DriverConn] can hand to its function.
type SupportedDriverConns interface{ *pgx.Conn }

// DriverConn gives f the driver's connection behind one of [Database.Stdlib].
// It must not be used after f returns.
func DriverConn[T SupportedDriverConns](conn *sql.Conn, f func(driverConn T) error) error {
	return conn.Raw(func(raw any) error {
		c, ok := raw.(*stdlib.Conn)
		if !ok {
			panic(fmt.Sprintf("sqldb.DriverConn: %T is no connection of a sqldb database", raw))
		}
		return f(T(c.Conn()))
	})
}

// ErrNoRows is reported by Scan when QueryRow found no row.
var ErrNoRows = sql.ErrNoRows

// ExecResult is the result of Exec.
type ExecResult interface {
	// RowsAffected is how many rows the command changed, 0 if it is not of that kind.
	RowsAffected() int64
}

// Exec runs a command that returns no rows.
func (d *Database) Exec(ctx context.Context, query string, args ...any) (ExecResult, error) {
	return exec(ctx, d.handle.Pool(), query, args)
}

// Query runs a query that returns rows.
func (d *Database) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	return queryRows(ctx, d.handle.Pool(), query, args)
}

// QueryRow runs a query that returns at most one row.
func (d *Database) QueryRow(ctx context.Context, query string, args ...any) *Row {
	return queryRow(ctx, d.handle.Pool(), query, args)
}

// Begin opens a transaction.
func (d *Database) Begin(ctx context.Context) (*Tx, error) {
	tx, err := d.handle.Pool().Begin(ctx)
	if err != nil {
		return nil, convert(err)
	}
	return &Tx{tx: tx}, nil
}
