package audit

import (
	"context"
	"fmt"

	"encore.app/audit/event"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

type store struct {
	db   *tenantdb.DB
	keys *keyring
}

func newStore(db *tenantdb.DB) store { return store{db: db, keys: newKeyring(db)} }

const insertEvent = `
with kept as (
insert into audit.events (org_id, id, occurred_at, actor_id, actor_type, impersonator_id, action,
       resource_kind, resource_id, outcome, request_id, decision_id, policy_version, ip, changes, personal, leaf_hash)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
on conflict do nothing
returning org_id, id, leaf_hash)
insert into audit.pending (org_id, event_id, leaf_hash) select org_id, id, leaf_hash from kept`

// append writes e with its leaf, queues the leaf for its number and settles e's outbox row, all in
// one transaction: the effect and its dedup are one.
func (s store) append(ctx context.Context, e event.Event) error {
	personal, err := s.keys.seal(ctx, &e)
	if err != nil {
		return fmt.Errorf("audit: seal: %w", err)
	}
	leaf, err := leafOf(e, personal)
	if err != nil {
		return fmt.Errorf("audit: leaf: %w", err)
	}
	var batch pgx.Batch
	batch.Queue(insertEvent, e.OrgID, e.ID, e.OccurredAt, e.Actor.ID, e.Actor.Type,
		e.Actor.ImpersonatorID, e.Action, e.Resource.Kind, e.Resource.ID, e.Outcome,
		e.RequestID, e.DecisionID, e.PolicyVersion, e.IP, e.Changes, personal, hashOf(leaf))
	outbox.QueueSettle(&batch, e.ID)
	if err := s.db.Send(ctx, scopeOf(e.OrgID), &batch); err != nil {
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
