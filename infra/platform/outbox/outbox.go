// Package outbox makes a message part of the transaction that causes it.
//
// A row is added in the caller's transaction, so change and message commit together or not at all.
// A [Relay] publishes rows; the consumer deletes the row ([Settle]) in the transaction of its effect.
// A row that was published but not settled in time is published again: a broker that loses messages
// delays them, it cannot lose them. Delivery is therefore at least once, and a consumer must
// recognise a message by its id. A row remembers the trace of its transaction, and its publication is a
// step of that.
//
// Messages of a topic are published many at once and in no order, except where a key is given
// ([AddOrdered]): of one key the next is published when the one before it is settled or dead.
package outbox

import (
	"context"
	"encoding/json"
	"fmt"

	"encore.app/infra/platform/tenantdb"
	"encore.app/infra/platform/tracing"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// channel wakes relays. The poll behind it makes it an optimisation, never a necessity.
const channel = "platform_outbox"

// Add queues a message in tx. The id identifies the message for its consumer.
func Add(ctx context.Context, tx pgx.Tx, topic string, id uuid.UUID, message any) error {
	return add(ctx, tx, topic, nil, id, message)
}

// AddOrdered queues a message behind those of the same topic and key. Transactions that add to one key
// wait for each other, so that the order is that of their commits.
func AddOrdered(ctx context.Context, tx pgx.Tx, topic, key string, id uuid.UUID, message any) error {
	_, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtextextended('platform.outbox/' || $1::text || '/' || $2::text, 0))", topic, key)
	if err != nil {
		return fmt.Errorf("outbox: add to %s: %w", topic, err)
	}
	return add(ctx, tx, topic, &key, id, message)
}

func add(ctx context.Context, tx pgx.Tx, topic string, key *string, id uuid.UUID, message any) error {
	payload, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("outbox: encode %s: %w", topic, err)
	}
	var batch pgx.Batch
	batch.Queue("insert into platform.outbox (id, topic, key, payload, traceparent) values ($1, $2, $3, $4, nullif($5, ''))",
		id, topic, key, payload, tracing.Traceparent(ctx))
	batch.Queue("select pg_notify($1, '')", channel)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("outbox: add to %s: %w", topic, err)
	}
	return nil
}

// settle wakes the relays when somebody may wait behind the message. Whoever waits for rows of the outbox
// takes them in the order of their ids, so that no two wait for each other.
const settle = `
with mine as (select id from platform.outbox where id = any($1) order by id for update),
settled as (delete from platform.outbox o using mine where o.id = mine.id returning key)
select pg_notify($2, '') from settled where key is not null`

// Settle forgets a message, in the transaction of the effect that it caused.
func Settle(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, settle, []uuid.UUID{id}, channel); err != nil {
		return fmt.Errorf("outbox: settle: %w", err)
	}
	return nil
}

// Waits says that a message is not settled. A consumer whose effect is elsewhere asks before it.
func Waits(ctx context.Context, db *tenantdb.DB, id uuid.UUID) (bool, error) {
	waits, err := tenantdb.Row(ctx, db, tenantdb.Scope{}, pgx.RowTo[bool], "select exists (select from platform.outbox where id = $1)", id)
	if err != nil {
		return false, fmt.Errorf("outbox: look up: %w", err)
	}
	return waits, nil
}

// QueueSettle adds Settle of some messages to a batch of statements.
func QueueSettle(batch *pgx.Batch, ids ...uuid.UUID) { batch.Queue(settle, ids, channel) }
