package outbox

import (
	"bytes"
	"context"
	"encoding/json"
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

// rewriteAtOnce is how many dead messages are in memory at once.
const rewriteAtOnce = 500

// RewriteDead goes through the dead messages of a topic and keeps what rewrite makes of their payloads,
// which come some at a time. It may see one twice: nobody has to wait for messages that stay as they are.
func RewriteDead(ctx context.Context, tx pgx.Tx, topic string, rewrite func(context.Context, []json.RawMessage) error) error {
	for after := uuid.Nil; ; {
		page, err := readDead(ctx, tx, "select id, payload from platform.outbox where topic = $1 and dead_at is not null and id > $2 order by id limit $3",
			topic, after, rewriteAtOnce)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].ID
		changed, err := rewritten(ctx, page, rewrite)
		if err != nil {
			return err
		}
		if len(changed) == 0 {
			continue
		}
		ids := make([]uuid.UUID, len(changed))
		for i, m := range changed {
			ids[i] = m.ID
		}
		page, err = readDead(ctx, tx, "select id, payload from platform.outbox where id = any($1) and dead_at is not null order by id for update", ids)
		if err != nil {
			return err
		}
		if changed, err = rewritten(ctx, page, rewrite); err != nil {
			return err
		}
		var batch pgx.Batch
		for _, m := range changed {
			batch.Queue("update platform.outbox set payload = $2 where id = $1", m.ID, m.Payload)
		}
		if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
			return fmt.Errorf("outbox: rewrite: %w", err)
		}
	}
}

type deadMessage struct {
	ID      uuid.UUID
	Payload json.RawMessage
}

func readDead(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]deadMessage, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("outbox: rewrite: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[deadMessage])
	if err != nil {
		return nil, fmt.Errorf("outbox: rewrite: %w", err)
	}
	return found, nil
}

// rewritten are those messages that rewrite changes.
func rewritten(ctx context.Context, messages []deadMessage, rewrite func(context.Context, []json.RawMessage) error) (changed []deadMessage, err error) {
	payloads := make([]json.RawMessage, len(messages))
	for i, m := range messages {
		payloads[i] = m.Payload
	}
	if err := rewrite(ctx, payloads); err != nil {
		return nil, err
	}
	for i, m := range messages {
		if !bytes.Equal(payloads[i], m.Payload) {
			changed = append(changed, deadMessage{m.ID, payloads[i]})
		}
	}
	return changed, nil
}
