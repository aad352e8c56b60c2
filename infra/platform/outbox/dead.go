package outbox

import (
	"context"
	"fmt"
	"time"

	"encore.app/infra/platform/deadletter"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Backlog is what of a topic is not settled.
type Backlog struct {
	Topic string
	Depth int
	Age   float64 // of the oldest, in seconds
	Dead  int
}

// Backlogs are those of every topic that has one.
func Backlogs(ctx context.Context, db *tenantdb.DB) ([]Backlog, error) {
	found, err := tenantdb.Rows(ctx, db, tenantdb.Platform(), pgx.RowToStructByPos[Backlog], `
select topic, (count(*) filter (where dead_at is null))::int,
       coalesce(extract(epoch from now() - min(created_at) filter (where dead_at is null)), 0)::float8,
       (count(*) filter (where dead_at is not null))::int
  from platform.outbox group by topic order by topic`)
	if err != nil {
		return nil, fmt.Errorf("outbox: backlogs: %w", err)
	}
	return found, nil
}

// Dead is a page of a topic's dead messages, newest first.
func Dead(ctx context.Context, db *tenantdb.DB, topic string, before deadletter.Position, limit int) ([]deadletter.Letter, error) {
	var at *time.Time
	if !before.At.IsZero() {
		at = &before.At
	}
	found, err := tenantdb.Rows(ctx, db, tenantdb.Platform(), pgx.RowToStructByPos[deadletter.Letter], `
select id::text, payload, 'retries_exhausted', coalesce(last_error, ''), attempts, created_at, dead_at from platform.outbox
 where topic = $1 and dead_at is not null and ($2::timestamptz is null or (dead_at, id::text) < ($2, $3))
 order by dead_at desc, id::text desc limit $4`, topic, at, before.ID, limit)
	if err != nil {
		return nil, fmt.Errorf("outbox: dead: %w", err)
	}
	return found, nil
}

// mine are the dead messages of a topic that nobody else is at: those of ids, or all if ids is nil.
const mine = `
with mine as (
    select id from platform.outbox where topic = $1 and dead_at is not null and ($2::uuid[] is null or id = any($2))
       for update skip locked)`

// Requeue makes dead messages of a topic due again: those of ids, or all if ids is nil. What another
// transaction has at the moment stays as that leaves it, and is not counted.
func Requeue(ctx context.Context, tx pgx.Tx, topic string, ids []uuid.UUID) (int, error) {
	tag, err := tx.Exec(ctx, mine+`
update platform.outbox o set dead_at = null, attempts = 0, due_at = now(), last_error = null from mine where o.id = mine.id`, topic, ids)
	if err == nil {
		_, err = tx.Exec(ctx, "select pg_notify($1, '')", channel)
	}
	if err != nil {
		return 0, fmt.Errorf("outbox: requeue: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// Purge throws dead messages of a topic away, those that Requeue would send again.
func Purge(ctx context.Context, tx pgx.Tx, topic string, ids []uuid.UUID) (int, error) {
	tag, err := tx.Exec(ctx, mine+" delete from platform.outbox o using mine where o.id = mine.id", topic, ids)
	if err != nil {
		return 0, fmt.Errorf("outbox: purge: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
