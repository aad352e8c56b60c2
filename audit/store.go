package audit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"encore.app/audit/event"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

type store struct {
	db    *tenantdb.DB
	keys  *keyring
	group *group[appending]
}

func newStore(db *tenantdb.DB) store {
	s := store{db: db, keys: newKeyring(db)}
	s.group = &group[appending]{write: s.write}
	return s
}

const insertEvent = `
with kept as (
insert into audit.events (org_id, id, occurred_at, actor_id, actor_type, impersonator_id, action,
       resource_kind, resource_id, outcome, request_id, decision_id, policy_version, ip, changes, personal, leaf_hash)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
on conflict do nothing
returning org_id, id, leaf_hash)
insert into audit.pending (org_id, event_id, leaf_hash) select org_id, id, leaf_hash from kept`

// appending is an event on its way into the log, and the statement that puts it there.
type appending struct {
	org, id uuid.UUID
	args    []any
}

// append writes e with its leaf, queues the leaf for its number and settles e's outbox row, all in
// one transaction: the effect and its dedup are one. Events that come at the same time share one.
func (s store) append(ctx context.Context, e event.Event) error {
	personal, err := s.keys.seal(ctx, &e)
	if err != nil {
		return fmt.Errorf("audit: seal: %w", err)
	}
	leaf, err := leafOf(e, personal)
	if err != nil {
		return fmt.Errorf("audit: leaf: %w", err)
	}
	err = s.group.do(ctx, appending{org: e.OrgID, id: e.ID, args: []any{e.OrgID, e.ID, e.OccurredAt, e.Actor.ID, e.Actor.Type,
		e.Actor.ImpersonatorID, e.Action, e.Resource.Kind, e.Resource.ID, e.Outcome,
		e.RequestID, e.DecisionID, e.PolicyVersion, e.IP, e.Changes, personal, hashOf(leaf)}})
	if err != nil {
		return fmt.Errorf("audit: append: %w", err)
	}
	return nil
}

// write puts entries into the log in one transaction, each on behalf of its own organisation. It does so
// in the order of their ids: replicas that write the same ones do not wait for each other in a circle.
func (s store) write(ctx context.Context, entries []appending) error {
	slices.SortFunc(entries, func(a, b appending) int {
		return cmp.Or(bytes.Compare(a.org[:], b.org[:]), bytes.Compare(a.id[:], b.id[:]))
	})
	parts := make([]tenantdb.Part, 0, len(entries)+1)
	ids := make([]uuid.UUID, len(entries))
	for i, e := range entries {
		ids[i] = e.id
		part := tenantdb.Part{Scope: scopeOf(e.org), Batch: new(pgx.Batch)}
		part.Batch.Queue(insertEvent, e.args...)
		parts = append(parts, part)
	}
	settled := tenantdb.Part{Batch: new(pgx.Batch)}
	outbox.QueueSettle(settled.Batch, ids...)
	return s.db.SendAll(ctx, append(parts, settled)...)
}

// scopeOf lets the platform's own log, whose organisation is the nil UUID, be written as such.
func scopeOf(org uuid.UUID) tenantdb.Scope {
	if org == uuid.Nil {
		return tenantdb.Platform()
	}
	return tenantdb.Org(org)
}
