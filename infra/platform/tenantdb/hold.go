package tenantdb

import (
	"context"

	"encore.app/infra/platform/tracing"
	"github.com/jackc/pgx/v5"
)

// Hold is one transaction for everything that a request writes: while a context carries it, [DB.Tx],
// [Rows] and [Row] work inside it, and nothing is committed before its owner says so. That is how
// the answer to a request can be kept together with its effect, or neither.
//
// What must be kept whatever comes of the request is written under [Released]. A request under a
// hold must not use its context from several goroutines at once: a transaction is one conversation.
type Hold struct{ tx pgx.Tx }

type holdKey struct{}

// Hold begins a transaction and returns ctx carrying it. The owner ends it with Commit or Rollback.
func (db *DB) Hold(ctx context.Context) (context.Context, *Hold, error) {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return ctx, nil, reached(ctx, err)
	}
	h := &Hold{tx: tx}
	return context.WithValue(ctx, holdKey{}, h), h, nil
}

// Released returns ctx without the hold that it may carry.
func Released(ctx context.Context) context.Context {
	return context.WithValue(ctx, holdKey{}, (*Hold)(nil))
}

// Commit keeps what was written.
func (h *Hold) Commit(ctx context.Context) error { return reached(ctx, h.tx.Commit(ctx)) }

// Rollback forgets it. After Commit it does nothing.
func (h *Hold) Rollback(ctx context.Context) { _ = h.tx.Rollback(ctx) }

// Tx is the transaction itself, for what its owner keeps beside the effect.
func (h *Hold) Tx() pgx.Tx { return h.tx }

func held(ctx context.Context) *Hold {
	h, _ := ctx.Value(holdKey{}).(*Hold)
	return h
}

// run is Tx inside the hold: an error undoes what fn did and nothing before it.
func (h *Hold) run(ctx context.Context, scope Scope, fn func(pgx.Tx) error) error {
	ctx, span := tracing.Start(ctx, tracing.Internal, "savepoint")
	fn = spanned(span, fn)
	err := pgx.BeginFunc(ctx, h.tx, func(tx pgx.Tx) error {
		org, user, platform := scope.settings()
		if _, err := tx.Exec(ctx, setContext, org, user, platform); err != nil {
			return err
		}
		return fn(tx)
	})
	end(span, err)
	return reached(ctx, err)
}

// sender is what takes a pipeline: the pool, or a transaction of it.
type sender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}
