package sqldb

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// querier is what a pool and a transaction have in common.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func exec(ctx context.Context, q querier, query string, args []any) (ExecResult, error) {
	tag, err := q.Exec(ctx, query, args...)
	if err != nil {
		return nil, convert(err)
	}
	return tag, nil
}

func queryRows(ctx context.Context, q querier, query string, args []any) (*Rows, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, convert(err)
	}
	return &Rows{rows: rows}, nil
}

func queryRow(ctx context.Context, q querier, query string, args []any) *Row {
	rows, err := queryRows(ctx, q, query, args)
	return &Row{rows: rows, err: err}
}

// Tx is a transaction.
type Tx struct{ tx pgx.Tx }

// Commit commits it.
func (t *Tx) Commit() error { return convert(t.tx.Commit(context.Background())) }

// Rollback undoes it.
func (t *Tx) Rollback() error { return convert(t.tx.Rollback(context.Background())) }

// Exec runs a command that returns no rows.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (ExecResult, error) {
	return exec(ctx, t.tx, query, args)
}

// Query runs a query that returns rows.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	return queryRows(ctx, t.tx, query, args)
}

// QueryRow runs a query that returns at most one row.
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) *Row {
	return queryRow(ctx, t.tx, query, args)
}

// Rows is the result of a query. It starts before the first row.
type Rows struct{ rows pgx.Rows }

// Close ends the reading.
func (r *Rows) Close() { r.rows.Close() }

// Scan copies the columns of the current row.
func (r *Rows) Scan(dest ...any) error { return convert(r.rows.Scan(dest...)) }

// Err is the error that ended the reading, if one did.
func (r *Rows) Err() error { return convert(r.rows.Err()) }

// Next moves to the next row, if there is one.
func (r *Rows) Next() bool { return r.rows.Next() }

// Row is the result of QueryRow.
type Row struct {
	rows *Rows
	err  error
}

// Scan copies the columns of the row. Without a row it reports [ErrNoRows].
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// Err is the query's error, if any, before Scan.
func (r *Row) Err() error {
	if r.err != nil {
		return r.err
	}
	return r.rows.Err()
}
