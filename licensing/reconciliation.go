package licensing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/stripesync"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// reconciliation is a row of licensing.reconciliations.
type reconciliation struct {
	ID                            uuid.UUID
	StartedAt                     time.Time
	FinishedAt                    *time.Time
	Customers, Drifted, Unchecked int64
}

const reconciliationColumns = "id, started_at, finished_at, customers, drifted, unchecked"

// supersede ends the reconciliation that runs, if any. The $1 customers that wait for the next one are
// none that it left unchecked.
const supersede = `
update licensing.reconciliations
   set finished_at = now(), unchecked = (select count(*) from licensing.sync_queue where reason = 'reconciliation') - $1
 where finished_at is null`

const begin = "insert into licensing.reconciliations (id, customers) values ($1, $2) returning " + reconciliationColumns

// reconcile puts every customer in line. The workers look at them, and [store.conclude] says what
// came of it.
func (s store) reconcile(ctx context.Context, client *stripesync.Client) error {
	ctx, cancel := context.WithTimeout(background(ctx), reconcileWithin)
	defer cancel()
	var theirs []string
	if err := client.Customers(ctx, func(customer string) error {
		theirs = append(theirs, customer)
		return nil
	}); err != nil {
		return err
	}
	err := s.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		// Workers hold their customer's mark before they note a drift of the reconciliation that runs.
		marked, err := stripesync.MarkAll(ctx, tx, theirs)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, supersede, marked); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, begin, rowid.New(), marked)
		if err != nil {
			return err
		}
		r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[reconciliation])
		if err != nil {
			return err
		}
		return r.tell(ctx, tx, "billing:reconcile")
	})
	if err != nil {
		return fmt.Errorf("licensing: reconcile: %w", err)
	}
	return nil
}

// reconcileWithin bounds the reading of Stripe's list of customers.
const reconcileWithin = 30 * time.Minute

// tell records a reconciliation in the platform's own log.
func (r reconciliation) tell(ctx context.Context, tx pgx.Tx, action string) error {
	e, err := event.New(ctx, uuid.Nil, action, event.Resource{Kind: "platform", ID: "billing"}, event.Succeeded, authz.Decision{}).
		With(map[string]any{"reconciliation": r.ID, "customers": r.Customers, "drifted": r.Drifted})
	if err != nil {
		return err
	}
	return e.Record(ctx, tx)
}

const finish = `
update licensing.reconciliations set finished_at = now()
 where finished_at is null and not exists (select from licensing.sync_queue where reason = 'reconciliation')
returning ` + reconciliationColumns

// conclude ends the reconciliation that runs, once nobody waits for it any more.
func (s store) conclude(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(background(ctx), reviewWithin)
	defer cancel()
	err := s.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, finish)
		if err != nil {
			return err
		}
		r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[reconciliation])
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		return r.tell(ctx, tx, "billing:reconciled")
	})
	if err != nil {
		return fmt.Errorf("licensing: conclude: %w", err)
	}
	return nil
}

const noteDrift = `
with run as (update licensing.reconciliations set drifted = drifted + 1 where finished_at is null returning id)
insert into licensing.drifts (org_id, reconciliation_id, customer_id, before, after)
select $1, run.id, (select customer_id from licensing.customers where org_id = $1), $2, $3 from run
on conflict do nothing`

// drifted notes a licence that was not as Stripe had it, though nobody had said so.
func (s store) drifted(ctx context.Context, tx pgx.Tx, before, after license) error {
	was, err := json.Marshal(shown(before))
	if err != nil {
		return fmt.Errorf("licensing: drift: %w", err)
	}
	is, err := json.Marshal(shown(after))
	if err != nil {
		return fmt.Errorf("licensing: drift: %w", err)
	}
	if _, err := tx.Exec(ctx, noteDrift, after.OrgID, was, is); err != nil {
		return fmt.Errorf("licensing: drift: %w", err)
	}
	return nil
}

// reconciliations is a page of them, the newest first.
func (s store) reconciliations(ctx context.Context, before uuid.UUID, limit int) ([]reconciliation, error) {
	items, err := tenantdb.Rows(ctx, s.db, tenantdb.Platform(), pgx.RowToStructByPos[reconciliation],
		"select "+reconciliationColumns+" from licensing.reconciliations where id < $1 order by id desc limit $2", before, limit)
	if err != nil {
		return nil, fmt.Errorf("licensing: reconciliations: %w", err)
	}
	return items, nil
}

func (s store) hasReconciliation(ctx context.Context, id uuid.UUID) (bool, error) {
	ok, err := tenantdb.Row(ctx, s.db, tenantdb.Platform(), pgx.RowTo[bool],
		"select exists (select from licensing.reconciliations where id = $1)", id)
	if err != nil {
		return false, fmt.Errorf("licensing: reconciliation: %w", err)
	}
	return ok, nil
}

// drift is a row of licensing.drifts.
type drift struct {
	OrgID         uuid.UUID
	CustomerID    string
	FoundAt       time.Time
	Before, After json.RawMessage
}

// drifts is a page of what a reconciliation found, by organisation.
func (s store) drifts(ctx context.Context, run, after uuid.UUID, limit int) ([]drift, error) {
	items, err := tenantdb.Rows(ctx, s.db, tenantdb.Platform(), pgx.RowToStructByPos[drift], `
select org_id, customer_id, found_at, before, after from licensing.drifts
 where reconciliation_id = $1 and org_id > $2 order by org_id limit $3`, run, after, limit)
	if err != nil {
		return nil, fmt.Errorf("licensing: drifts: %w", err)
	}
	return items, nil
}
