// Package tenantdb is the one door to the database: every statement runs in a transaction that has
// told Postgres on whose behalf it runs, so that row-level security can refuse what a query's own
// predicate forgot.
//
// The context is transaction-local (set_config(…, true)): nothing of it survives in the pool. It
// travels with the statement that needs it anyway, so it costs no round trip of its own.
package tenantdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tracing"
	"encore.dev/types/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Scope is on whose behalf statements run. The zero Scope sees no tenant's rows.
type Scope struct {
	org      uuid.UUID
	user     uuid.UUID
	platform bool
}

// Org sees one organisation's rows.
func Org(id uuid.UUID) Scope { return Scope{org: id} }

// User sees the rows that are about one user, in whatever organisation: their memberships.
func User(id uuid.UUID) Scope { return Scope{user: id} }

// Platform sees every organisation's rows: platform staff after a decision, and background work.
func Platform() Scope { return Scope{platform: true} }

// settings are app.org_id, app.user_id and app.platform, in this order.
func (s Scope) settings() (org, user, platform string) {
	if s.org != uuid.Nil {
		org = s.org.String()
	}
	if s.user != uuid.Nil {
		user = s.user.String()
	}
	if s.platform {
		platform = "on"
	}
	return org, user, platform
}

// DB runs scoped statements on a pool.
type DB struct{ pool *pgxpool.Pool }

// New wraps a pool.
func New(pool *pgxpool.Pool) *DB { return &DB{pool: pool} }

// Pool is the bare pool, for what has no tenant: LISTEN, health.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Tx runs fn in one transaction under scope. An error or a panic of fn rolls it back.
func (db *DB) Tx(ctx context.Context, scope Scope, fn func(pgx.Tx) error) error {
	if h := held(ctx); h != nil {
		return h.run(ctx, scope, fn)
	}
	return db.begin(ctx, "begin", scope, fn)
}

// Snapshot runs fn in one read-only transaction under scope, in which every statement sees the
// database as the first one did.
func (db *DB) Snapshot(ctx context.Context, scope Scope, fn func(pgx.Tx) error) error {
	return db.begin(ctx, "begin isolation level repeatable read, read only", scope, fn)
}

func (db *DB) begin(ctx context.Context, begin string, scope Scope, fn func(pgx.Tx) error) error {
	org, user, platform := scope.settings()
	// The three values are made by this package (UUIDs and a constant), so they are safe to write
	// into the text; one text means one round trip for BEGIN and its context.
	begin += fmt.Sprintf("; select set_config('app.org_id', '%s', true), set_config('app.user_id', '%s', true), set_config('app.platform', '%s', true)",
		org, user, platform)
	ctx, span := tracing.Start(ctx, tracing.Internal, "transaction")
	err := pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{BeginQuery: begin}, spanned(span, fn))
	end(span, err)
	return reached(ctx, err)
}

const setContext = "select set_config('app.org_id', $1, true), set_config('app.user_id', $2, true), set_config('app.platform', $3, true)"

// Rows runs one query under scope and collects its rows, in one round trip: context and query are
// pipelined, and a pipeline is one implicit transaction.
func Rows[T any](ctx context.Context, db *DB, scope Scope, collect pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	if h := held(ctx); h != nil {
		var items []T
		err := pgx.BeginFunc(ctx, h.tx, func(tx pgx.Tx) (err error) {
			items, err = send(ctx, tx, scope, collect, sql, args)
			return err
		})
		return items, reached(ctx, err)
	}
	return send(ctx, db.pool, scope, collect, sql, args)
}

func send[T any](ctx context.Context, to sender, scope Scope, collect pgx.RowToFunc[T], sql string, args []any) ([]T, error) {
	org, user, platform := scope.settings()
	var batch pgx.Batch
	batch.Queue(setContext, org, user, platform)
	batch.Queue(sql, native(args)...)
	results := pipeline(ctx, to, &batch)
	defer results.Close()
	if _, err := results.Exec(); err != nil {
		return nil, reached(ctx, err)
	}
	rows, err := results.Query()
	if err != nil {
		return nil, reached(ctx, err)
	}
	items, err := pgx.CollectRows(rows, collect)
	if err != nil {
		return nil, reached(ctx, err)
	}
	return items, reached(ctx, results.Close())
}

// native has ids as pgx knows them: it would look at each uuid.UUID for a way to send it, and find the
// one over text.
func native(args []any) []any {
	out := slices.Clone(args)
	for i, arg := range out {
		if id, ok := arg.(uuid.UUID); ok {
			out[i] = pgtype.UUID{Bytes: id, Valid: true}
		}
	}
	return out
}

// Part is some statements of a transaction, and on whose behalf they run.
type Part struct {
	Scope Scope
	Batch *pgx.Batch
}

// Send runs the statements of batch in one transaction under scope and in one round trip.
func (db *DB) Send(ctx context.Context, scope Scope, batch *pgx.Batch) error {
	return db.SendAll(ctx, Part{scope, batch})
}

// SendAll runs the statements of all parts in one transaction and in one round trip, each part under its
// own scope.
func (db *DB) SendAll(ctx context.Context, parts ...Part) error {
	var scoped pgx.Batch
	for i, p := range parts {
		if i == 0 || p.Scope != parts[i-1].Scope {
			org, user, platform := p.Scope.settings()
			scoped.Queue(setContext, org, user, platform)
		}
		scoped.QueuedQueries = append(scoped.QueuedQueries, p.Batch.QueuedQueries...)
	}
	if h := held(ctx); h != nil {
		return reached(ctx, pgx.BeginFunc(ctx, h.tx, func(tx pgx.Tx) error {
			return pipeline(ctx, tx, &scoped).Close()
		}))
	}
	return reached(ctx, pipeline(ctx, db.pool, &scoped).Close())
}

// QueueRow adds to a batch for Send the reading of a row that may be there; found is called with it.
func QueueRow[T any](batch *pgx.Batch, collect pgx.RowToFunc[T], found func(T), sql string, args ...any) {
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		row, err := pgx.CollectExactlyOneRow(rows, collect)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil {
			found(row)
		}
		return err
	})
}

// Row is Rows for exactly one row. None is pgx.ErrNoRows.
func Row[T any](ctx context.Context, db *DB, scope Scope, collect pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	items, err := Rows(ctx, db, scope, collect, sql, args...)
	if err == nil && len(items) == 0 {
		err = pgx.ErrNoRows
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return items[0], nil
}

// reached tells a database that is away from one that answered: the first is nobody's bug, and the
// caller may try again. What the request itself gave up stays what it is.
func reached(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || fault.As(err) != nil {
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if pgerrcode.IsConnectionException(pg.Code) || pgerrcode.IsOperatorIntervention(pg.Code) {
			return fault.Unavailable(part, err)
		}
		return err
	}
	var connect *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err) {
		return fault.Unavailable(part, err)
	}
	return err
}

// part is how the database is called towards callers and operators.
const part = "postgres"

// Violates reports whether err is a violation of the named constraint.
func Violates(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.ConstraintName == constraint
}
