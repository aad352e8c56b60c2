package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

type store struct{ db *tenantdb.DB }

const insertEvent = `
insert into audit.events (org_id, id, occurred_at, actor_id, actor_type, impersonator_id, action,
       resource_kind, resource_id, outcome, request_id, decision_id, policy_version, ip, changes)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
on conflict do nothing`

// append writes e and settles its outbox row in one transaction: the effect and its dedup are one.
func (s store) append(ctx context.Context, e *event.Event) error {
	err := s.db.Tx(ctx, scopeOf(e.OrgID), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insertEvent, e.OrgID, e.ID, e.OccurredAt, e.Actor.ID, e.Actor.Type,
			e.Actor.ImpersonatorID, e.Action, e.Resource.Kind, e.Resource.ID, e.Outcome,
			e.RequestID, e.DecisionID, e.PolicyVersion, e.IP, e.Changes)
		if err != nil {
			return err
		}
		return outbox.Settle(ctx, tx, e.ID)
	})
	if err != nil {
		return fmt.Errorf("audit: append: %w", err)
	}
	return nil
}

// scopeOf lets the platform's own log, whose organisation is the nil UUID, be written as such.
func scopeOf(org uuid.UUID) tenantdb.Scope {
	if org == uuid.Nil {
		return tenantdb.Platform()
	}
	return tenantdb.Org(org)
}

// filter narrows a search. Zero fields narrow nothing.
type filter struct {
	actor, action, resource string
	from, to                time.Time
	before                  position
	limit                   int
}

// position is where a page ended: pages go from new to old. It is what a cursor holds.
type position struct {
	At time.Time `json:"at"`
	ID uuid.UUID `json:"id"`
}

const selectEvents = `
select id, org_id, occurred_at, actor_id, actor_type, impersonator_id, action, resource_kind, resource_id,
       outcome, request_id, decision_id, policy_version, ip, changes
  from audit.events`

// search is one page of an organisation's log, newest first.
func (s store) search(ctx context.Context, org uuid.UUID, f filter) ([]event.Event, error) {
	sql := selectEvents + `
 where org_id = $1
   and ($2 = '' or actor_id = $2)
   and ($3 = '' or action = $3)
   and ($4 = '' or resource_kind = $4 or resource_id = $4)
   and ($5::timestamptz is null or occurred_at >= $5)
   and ($6::timestamptz is null or occurred_at < $6)
   and ($7::timestamptz is null or (occurred_at, id) < ($7, $8))
 order by occurred_at desc, id desc
 limit $9`
	items, err := tenantdb.Rows(ctx, s.db, scopeOf(org), scanEvent, sql,
		org, f.actor, f.action, f.resource, orNull(f.from), orNull(f.to), orNull(f.before.At), f.before.ID, f.limit)
	if err != nil {
		return nil, fmt.Errorf("audit: search: %w", err)
	}
	return items, nil
}

// one is a single event; ok is false if the organisation has none of that id.
func (s store) one(ctx context.Context, org, id uuid.UUID) (e event.Event, ok bool, err error) {
	e, err = tenantdb.Row(ctx, s.db, scopeOf(org), scanEvent, selectEvents+" where org_id = $1 and id = $2", org, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return e, false, nil
	}
	if err != nil {
		return e, false, fmt.Errorf("audit: read: %w", err)
	}
	return e, true, nil
}

func scanEvent(row pgx.CollectableRow) (event.Event, error) {
	var e event.Event
	err := row.Scan(&e.ID, &e.OrgID, &e.OccurredAt, &e.Actor.ID, &e.Actor.Type, &e.Actor.ImpersonatorID,
		&e.Action, &e.Resource.Kind, &e.Resource.ID, &e.Outcome, &e.RequestID, &e.DecisionID,
		&e.PolicyVersion, &e.IP, &e.Changes)
	e.OccurredAt = e.OccurredAt.UTC()
	return e, err
}

func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}
