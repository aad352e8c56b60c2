package audit

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
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

// What the resource of a filter may be.
const (
	asEither   = "(e.resource_kind = ? or e.resource_id = ?)"
	asKind     = "e.resource_kind = ?"
	asID       = "e.resource_id = ?"
	asIDNoKind = "(e.resource_id = ? and e.resource_kind <> ?)"
)

// where is the condition, in terms that an index has. Its arguments follow those in args.
func (f filter) where(args *[]any, resource string) string {
	var terms []string
	add := func(term string, values ...any) {
		for _, v := range values {
			*args = append(*args, v)
			term = strings.Replace(term, "?", fmt.Sprintf("$%d", len(*args)), 1)
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
	if f.resource != "" {
		add(resource, slices.Repeat([]any{f.resource}, strings.Count(resource, "?"))...)
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
		return "true"
	}
	return strings.Join(terms, " and ")
}

// page is the statement of one page and its arguments. Each of its parts walks an index that has both
// the filter and the order, however long the logs are: a resource is looked for as a kind and as an id,
// and what may be in any log is looked for in each.
func (f filter) page() (sql string, args []any) {
	order := fmt.Sprintf(" order by occurred_at desc, id desc limit %d", f.limit)
	resources := []string{asKind, asIDNoKind}
	if _, err := uuid.FromString(f.resource); err == nil || f.resource == "" {
		resources = []string{asID}
	}
	parts := make([]string, len(resources))
	for i, resource := range resources {
		where := f.where(&args, resource)
		if f.org == nil && (f.actor != "" || f.action != "" || f.resource != "") {
			parts[i] = "(select e.* from audit.logs g cross join lateral (" +
				searchEvents + " where e.org_id = g.org_id and " + where + order + ") e" + order + ")"
			continue
		}
		parts[i] = "(" + searchEvents + " where " + where + order + ")"
	}
	if len(parts) == 1 {
		return parts[0], args
	}
	return strings.Join(parts, " union all ") + order, args
}

// An event is read once it has its number.
const (
	eventColumns = `
select e.id, e.org_id, e.occurred_at, e.actor_id, e.actor_type, e.impersonator_id, e.action, e.resource_kind, e.resource_id,
       e.outcome, e.request_id, e.decision_id, e.policy_version, e.ip, e.changes, e.personal, l.seq, l.leaf_hash
  from audit.events e`

	selectEvents = eventColumns + `
  join audit.leaves l on l.org_id = e.org_id and l.event_id = e.id`

	// The limit of one keeps the planner from starting at the leaves, which have not the page's order.
	searchEvents = eventColumns + `
 cross join lateral (select seq, leaf_hash from audit.leaves where org_id = e.org_id and event_id = e.id limit 1) l`
)

// search is one page of a log, or of all, newest first.
func (s store) search(ctx context.Context, f filter) ([]event.Event, error) {
	sql, args := f.page()
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
