package tenantdb

import (
	"context"
	"errors"
	"strings"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tracing"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Statements are traced here and not by a tracer of pgx's own: a pool takes one only as it is made, and
// the pools are made by whatever hosts the app. Every statement passes this package anyway.

// statement begins the step of one statement.
func statement(ctx context.Context, sql string) tracing.Span {
	_, span := tracing.Start(ctx, tracing.Client, "sql")
	if span.On() {
		describe(span, sql)
	}
	return span
}

func describe(span tracing.Span, sql string) {
	span.Name(summary(sql))
	span.Set("db.system.name", "postgresql")
	span.Set("db.query.text", sql[:min(len(sql), maxText)])
}

// maxText is how much of a statement is told: its placeholders and none of their values.
const maxText = 2048

// summary is what a statement does to which table, as in "INSERT platform.outbox".
func summary(sql string) string {
	words := strings.Fields(sql[:min(len(sql), maxText)])
	verb, table := "", ""
	for i, w := range words {
		switch w = strings.ToLower(strings.TrimLeft(w, "(")); w {
		case "insert", "update", "delete":
			verb = strings.ToUpper(w) // within a WITH as well: it is what the statement is for
			if w == "update" && i+1 < len(words) {
				table = words[i+1]
			}
		case "select":
			if verb == "" {
				verb = "SELECT"
			}
		case "from", "into":
			if table == "" && i+1 < len(words) {
				table = words[i+1]
			}
		}
	}
	if verb == "" && len(words) > 0 {
		verb = strings.ToUpper(words[0])
	}
	table, _, _ = strings.Cut(strings.Trim(table, "(),;"), "(")
	return strings.TrimSpace(verb + " " + table)
}

// failure is err, if it says that something is wrong with the database or its use.
func failure(err error) error {
	if err == nil || errors.Is(err, pgx.ErrNoRows) || fault.As(err) != nil {
		return nil
	}
	return err
}

// end ends the step of a transaction or a statement.
func end(span tracing.Span, err error) {
	if span.On() {
		span.End(failure(err))
	}
}

// spanned is fn with the statements as steps of span.
func spanned(span tracing.Span, fn func(pgx.Tx) error) func(pgx.Tx) error {
	if !span.On() {
		return fn
	}
	return func(tx pgx.Tx) error { return fn(traced{tx, span}) }
}

// traced is a transaction whose statements are steps of its own step.
type traced struct {
	pgx.Tx
	span tracing.Span
}

func (t traced) Begin(ctx context.Context) (pgx.Tx, error) {
	tx, err := t.Tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return traced{tx, t.span}, nil
}

func (t traced) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	span := statement(t.span.Under(ctx), sql)
	tag, err := t.Tx.Exec(ctx, sql, args...)
	end(span, err)
	return tag, err
}

func (t traced) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	span := statement(t.span.Under(ctx), sql)
	rows, err := t.Tx.Query(ctx, sql, args...)
	if err != nil {
		end(span, err)
		return rows, err
	}
	return tracedRows{rows, span}, nil
}

func (t traced) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	span := statement(t.span.Under(ctx), sql)
	return tracedRow{t.Tx.QueryRow(ctx, sql, args...), span}
}

func (t traced) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, from pgx.CopyFromSource) (int64, error) {
	span := statement(t.span.Under(ctx), "copy from "+strings.Join(table, "."))
	n, err := t.Tx.CopyFrom(ctx, table, columns, from)
	end(span, err)
	return n, err
}

func (t traced) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return pipeline(t.span.Under(ctx), t.Tx, b)
}

// pipeline sends a batch as one step, named after the first statement that is not about the tenant.
func pipeline(ctx context.Context, to sender, b *pgx.Batch) pgx.BatchResults {
	_, span := tracing.Start(ctx, tracing.Client, "sql")
	if !span.On() {
		return to.SendBatch(ctx, b)
	}
	for _, q := range b.QueuedQueries {
		if q.SQL != setContext {
			describe(span, q.SQL)
			break
		}
	}
	span.SetInt("db.operation.batch.size", len(b.QueuedQueries))
	return batchResults{to.SendBatch(ctx, b), span}
}

type batchResults struct {
	pgx.BatchResults
	span tracing.Span
}

func (r batchResults) Close() error {
	err := r.BatchResults.Close()
	end(r.span, err)
	return err
}

type tracedRows struct {
	pgx.Rows
	span tracing.Span
}

func (r tracedRows) Close() {
	r.Rows.Close()
	end(r.span, r.Rows.Err())
}

type tracedRow struct {
	pgx.Row
	span tracing.Span
}

func (r tracedRow) Scan(to ...any) error {
	err := r.Row.Scan(to...)
	end(r.span, err)
	return err
}
