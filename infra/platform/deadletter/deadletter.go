// Package deadletter keeps what the broker gave up, in rows, where operators can look at it, send it
// again or throw it away.
package deadletter

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"encore.app/infra/platform/broker"
	"encore.app/infra/platform/incident"
	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
)

// Letter is a message that was given up.
type Letter struct {
	ID            string
	Body          json.RawMessage
	Reason        string
	Error         string
	Attempts      int
	FirstFailedAt time.Time
	DiedAt        time.Time
}

// Position is where a page ends.
type Position struct {
	At time.Time `json:"at"`
	ID string    `json:"id"`
}

// Position is where a page ends that ends with l.
func (l Letter) Position() Position { return Position{At: l.DiedAt, ID: l.ID} }

// Keep takes a letter over from the broker. One that comes twice is kept once.
func Keep(ctx context.Context, db *tenantdb.DB, l broker.DeadLetter) error {
	body := json.RawMessage(l.Body)
	if !json.Valid(body) { // somebody else's message: its bytes are nothing to show
		body = json.RawMessage("null")
	}
	failed := l.FirstFailed
	if failed.IsZero() {
		failed = l.At
	}
	err := db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
insert into platform.dead_letters (queue, id, body, reason, error, attempts, first_failed_at, died_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict (queue, id) do update
   set body = excluded.body, reason = excluded.reason, error = excluded.error, attempts = excluded.attempts, died_at = excluded.died_at`,
			l.Queue, l.ID, body, string(l.Reason), l.Error, l.Attempt, failed, l.At)
		return err
	})
	if err != nil {
		return fmt.Errorf("deadletter: keep: %w", err)
	}
	incident.Send(incident.Report{Kind: incident.Dead, Where: l.Queue, Reason: string(l.Reason)})
	return nil
}

// Count is how many letters a queue has.
func Count(ctx context.Context, db *tenantdb.DB, queue string) (int, error) {
	n, err := tenantdb.Row(ctx, db, tenantdb.Platform(), pgx.RowTo[int],
		"select count(*) from platform.dead_letters where queue = $1", queue)
	if err != nil {
		return 0, fmt.Errorf("deadletter: count: %w", err)
	}
	return n, nil
}

// List is a page of a queue's letters, newest first.
func List(ctx context.Context, db *tenantdb.DB, queue string, before Position, limit int) ([]Letter, error) {
	var at *time.Time
	if !before.At.IsZero() {
		at = &before.At
	}
	letters, err := tenantdb.Rows(ctx, db, tenantdb.Platform(), pgx.RowToStructByPos[Letter], `
select id, body, reason, error, attempts, first_failed_at, died_at from platform.dead_letters
 where queue = $1 and ($2::timestamptz is null or (died_at, id) < ($2, $3))
 order by died_at desc, id desc limit $4`, queue, at, before.ID, limit)
	if err != nil {
		return nil, fmt.Errorf("deadletter: list: %w", err)
	}
	return letters, nil
}

// Take removes letters of a queue and gives their bodies: those of ids, or all if ids is nil. What
// another transaction has at the moment stays as that leaves it.
func Take(ctx context.Context, tx pgx.Tx, queue string, ids []string) ([]json.RawMessage, error) {
	rows, err := tx.Query(ctx, `
with mine as (
    select id from platform.dead_letters where queue = $1 and ($2::text[] is null or id = any($2))
       for update skip locked)
delete from platform.dead_letters l using mine where l.queue = $1 and l.id = mine.id returning l.body`, queue, ids)
	if err != nil {
		return nil, fmt.Errorf("deadletter: take: %w", err)
	}
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[json.RawMessage])
	if err != nil {
		return nil, fmt.Errorf("deadletter: take: %w", err)
	}
	return bodies, nil
}
