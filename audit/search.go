package audit

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"encore.app/audit/event"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// filter narrows a search. Zero fields narrow nothing.
type filter struct {
	org                     *uuid.UUID // nil is every log, for platform staff
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

// scope is on whose behalf the search runs.
func (f filter) scope() tenantdb.Scope {
	if f.org == nil {
		return tenantdb.Platform()
	}
	return scopeOf(*f.org)
}

// where is the condition, in terms that an index has, and its arguments.
func (f filter) where() (string, []any) {
	var terms []string
	var args []any
	add := func(term string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			term = strings.Replace(term, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		terms = append(terms, term)
	}
	if f.org != nil {
		add("e.org_id = ?", *f.org)
	}
	if f.actor != "" {
		add("e.actor_id = ?", f.actor)
	}
	if f.action != "" {
		add("e.action = ?", f.action)
	}
	if _, err := uuid.FromString(f.resource); err == nil {
		add("e.resource_id = ?", f.resource)
	} else if f.resource != "" {
		add("(e.resource_kind = ? or e.resource_id = ?)", f.resource, f.resource)
	}
	if !f.from.IsZero() {
		add("e.occurred_at >= ?", f.from)
	}
	if !f.to.IsZero() {
		add("e.occurred_at < ?", f.to)
	}
	if !f.before.At.IsZero() {
		add("(e.occurred_at, e.id) < (?, ?)", f.before.At, f.before.ID)
	}
	if terms == nil {
		return "true", nil
	}
	return strings.Join(terms, " and "), args
}

// An event is read once it has its number.
const selectEvents = `
select e.id, e.org_id, e.occurred_at, e.actor_id, e.actor_type, e.impersonator_id, e.action, e.resource_kind, e.resource_id,
       e.outcome, e.request_id, e.decision_id, e.policy_version, e.ip, e.changes, e.personal, l.seq, l.leaf_hash
  from audit.events e
  join audit.leaves l on l.org_id = e.org_id and l.event_id = e.id`

// search is one page of a log, or of all, newest first.
func (s store) search(ctx context.Context, f filter) ([]event.Event, error) {
	where, args := f.where()
	sql := fmt.Sprintf("%s where %s order by e.occurred_at desc, e.id desc limit %d", selectEvents, where, f.limit)
	return s.read(ctx, f.scope(), sql, args...)
}

// one is a single event; ok is false if the organisation has none of that id.
func (s store) one(ctx context.Context, org, id uuid.UUID) (e event.Event, ok bool, err error) {
	items, err := s.read(ctx, scopeOf(org), selectEvents+" where e.org_id = $1 and e.id = $2", org, id)
	if err != nil || len(items) == 0 {
		return e, false, err
	}
	return items[0], true, nil
}

func (s store) read(ctx context.Context, scope tenantdb.Scope, sql string, args ...any) ([]event.Event, error) {
	rows, err := tenantdb.Rows(ctx, s.db, scope, scanEvent, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("audit: read: %w", err)
	}
	return s.keys.unseal(ctx, rows)
}

func scanEvent(row pgx.CollectableRow) (kept, error) { return scan(row) }

// scan reads the columns of an event, and more that come after them.
func scan(row pgx.CollectableRow, more ...any) (kept, error) {
	var e kept
	var leaf []byte
	err := row.Scan(append([]any{&e.ID, &e.OrgID, &e.OccurredAt, &e.Actor.ID, &e.Actor.Type, &e.Actor.ImpersonatorID,
		&e.Action, &e.Resource.Kind, &e.Resource.ID, &e.Outcome, &e.RequestID, &e.DecisionID,
		&e.PolicyVersion, &e.IP, &e.Changes, &e.personal, &e.Seq, &leaf}, more...)...)
	e.OccurredAt = e.OccurredAt.UTC()
	e.LeafHash = base64.StdEncoding.EncodeToString(leaf)
	return e, err
}
