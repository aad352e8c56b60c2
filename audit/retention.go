package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"encore.app/audit/event"
	"encore.app/audit/ledger"
	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/database"
	"encore.app/infra/platform/job"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/cron"
	"encore.dev/storage/sqldb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// DefaultRetention is for how many days payloads are kept where nobody says otherwise.
	DefaultRetention = 730
	// retainBatch bounds one transaction of retention.
	retainBatch = 1000
)

// RetentionPolicy is for how many days the payloads of an organisation's log are kept, or of the
// platform's own where org is the nil UUID.
type RetentionPolicy func(ctx context.Context, org uuid.UUID) (days int, err error)

var retention RetentionPolicy = func(context.Context, uuid.UUID) (int, error) { return DefaultRetention, nil }

// UseRetention has those decide who know the settings; they stand above this package. It is for init
// functions.
func UseRetention(p RetentionPolicy) { retention = p }

var _ = cron.NewJob("audit-retention", cron.JobConfig{
	Title:    "Remove payloads of audit events that are older than the organisation keeps them",
	Every:    6 * cron.Hour,
	Endpoint: Retain,
})

var _ = job.Expect("audit.Retain", 6*time.Hour)

// Retain removes the payloads, and with them the personal values, of events that are older than their
// organisation keeps them. Their leaves stay, so every proof does. What is removed is said in the log
// before it is removed: a run announces how far it wants to go, and the next one goes there.
//
//encore:api private
func Retain(ctx context.Context) error {
	s := newStore(tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB)))
	rows, err := tenantdb.Rows(ctx, s.db, tenantdb.Platform(), pgx.RowToStructByPos[retained],
		"select org_id, size, pruned from audit.logs")
	if err != nil {
		return fmt.Errorf("audit: retention: %w", err)
	}
	var failed []error
	for _, r := range rows {
		days, err := retention(ctx, r.Org)
		if err == nil {
			err = s.retain(ctx, r, time.Now().AddDate(0, 0, -days))
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("audit: retention of %s: %w", r.Org, err))
		}
	}
	return errors.Join(failed...)
}

// retained is a log and how far retention has come in it.
type retained struct {
	Org          uuid.UUID
	Size, Pruned int64
}

const (
	// What was announced is an entry of the log itself.
	announced = `
select coalesce(max((e.changes ->> '` + ledger.ThroughSeq + `')::bigint), 0)
  from audit.events e
  join audit.leaves l on l.org_id = e.org_id and l.event_id = e.id
 where e.org_id = $1 and e.action = '` + ledger.RetentionAction + `' and e.actor_id = '` + ledger.RetentionActor + `'`

	// Payloads go from the start of the log, so that one which is missing further on was not removed
	// by rule.
	firstKept = `
select l.seq from audit.leaves l join audit.events e on e.org_id = l.org_id and e.id = l.event_id
 where l.org_id = $1 and l.seq > $2 and e.occurred_at >= $3
 order by l.seq limit 1`

	// An announcement alone is no reason for another one, which would be the next reason.
	lastToGo = `
select l.seq from audit.leaves l join audit.events e on e.org_id = l.org_id and e.id = l.event_id
 where l.org_id = $1 and l.seq > $2 and l.seq < $3
   and not (e.action = '` + ledger.RetentionAction + `' and e.actor_id = '` + ledger.RetentionActor + `')
 order by l.seq desc limit 1`

	prune = `
delete from audit.events e using audit.leaves l
 where l.org_id = $1 and l.seq > $2 and l.seq <= $3 and e.org_id = l.org_id and e.id = l.event_id
returning e.decision_id, e.occurred_at`

	// Decisions are remembered for seconds, so events that share one happened close together.
	unnamed = `
select id from unnest($2::text[]) id
 where id not in (
       select decision_id from audit.events
        where org_id = $1 and decision_id = any($2) and occurred_at <= $3::timestamptz + interval '1 day')`
)

// retain removes what was announced, and announces what is older than before.
func (s store) retain(ctx context.Context, r retained, before time.Time) error {
	through, err := tenantdb.Row(ctx, s.db, scopeOf(r.Org), pgx.RowTo[int64], announced, r.Org)
	if err != nil {
		return err
	}
	for from := r.Pruned; from < through; from += retainBatch {
		if err := s.prune(ctx, r.Org, from, min(from+retainBatch, through)); err != nil {
			return err
		}
	}
	first, err := tenantdb.Row(ctx, s.db, scopeOf(r.Org), pgx.RowTo[int64], firstKept, r.Org, through, before)
	if errors.Is(err, pgx.ErrNoRows) {
		first, err = r.Size+1, nil
	}
	if err != nil {
		return err
	}
	last, err := tenantdb.Row(ctx, s.db, scopeOf(r.Org), pgx.RowTo[int64], lastToGo, r.Org, through, first)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.announce(ctx, r.Org, last)
}

// prune removes payloads, and the decisions that no other event names.
func (s store) prune(ctx context.Context, org uuid.UUID, from, through int64) error {
	type event struct {
		DecisionID string
		OccurredAt time.Time
	}
	err := s.db.Tx(ctx, scopeOf(org), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select set_config('app.audit_prune', 'on', true)"); err != nil {
			return err
		}
		gone, err := collect(ctx, tx, pgx.RowToStructByPos[event], prune, org, from, through)
		if err != nil || len(gone) == 0 {
			return err
		}
		newest := slices.MaxFunc(gone, func(a, b event) int { return a.OccurredAt.Compare(b.OccurredAt) }).OccurredAt
		named := map[string]bool{}
		for _, e := range gone {
			named[e.DecisionID] = true
		}
		free, err := collect(ctx, tx, pgx.RowTo[string], unnamed, org, slices.Collect(maps.Keys(named)), newest)
		if err != nil {
			return err
		}
		return authz.Forget(ctx, tx, org, free)
	})
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "update audit.logs set pruned = greatest(pruned, $2) where org_id = $1", org, through)
		return err
	})
}

func (s store) announce(ctx context.Context, org uuid.UUID, through int64) error {
	ctx = principal.NewContext(ctx, principal.System("audit-retention"))
	e, err := event.New(ctx, org, ledger.RetentionAction, event.Resource{Kind: ledger.RetentionKind}, event.Succeeded, authz.Decision{}).
		With(map[string]any{ledger.ThroughSeq: through})
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, scopeOf(org), func(tx pgx.Tx) error { return e.Record(ctx, tx) })
}
