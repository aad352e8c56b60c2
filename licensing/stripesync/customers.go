package stripesync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// Customer is an organisation at Stripe.
type Customer struct {
	OrgID        uuid.UUID
	ID           string
	Subscription string // "" if none is paid
}

const selectCustomer = "select org_id, customer_id, subscription_id from licensing.customers"

// CustomerOf is an organisation's customer; ok is false if it has none yet.
func CustomerOf(ctx context.Context, db *tenantdb.DB, org uuid.UUID) (c Customer, ok bool, err error) {
	c, err = tenantdb.Row(ctx, db, tenantdb.Org(org), pgx.RowToStructByPos[Customer], selectCustomer+" where org_id = $1", org)
	return one(c, err)
}

func (q Queue) customer(ctx context.Context, id string) (c Customer, ok bool, err error) {
	c, err = tenantdb.Row(ctx, q.DB, tenantdb.Platform(), pgx.RowToStructByPos[Customer], selectCustomer+" where customer_id = $1", id)
	return one(c, err)
}

func one(c Customer, err error) (Customer, bool, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return Customer{}, false, nil
	}
	if err != nil {
		return Customer{}, false, fmt.Errorf("stripesync: customer: %w", err)
	}
	return c, true, nil
}

// Link notes that a customer is an organisation. One organisation is one customer and the other way
// round: whoever came first stays, and linked is false.
func Link(ctx context.Context, tx pgx.Tx, org uuid.UUID, customer string) (linked bool, err error) {
	tag, err := tx.Exec(ctx, "insert into licensing.customers (org_id, customer_id) values ($1, $2) on conflict do nothing", org, customer)
	if err != nil {
		return false, fmt.Errorf("stripesync: link: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// Replace links another customer in the place of one that was deleted, if that is still the linked one.
func Replace(ctx context.Context, tx pgx.Tx, deleted Customer, customer string) error {
	_, err := tx.Exec(ctx, "update licensing.customers set customer_id = $3, subscription_id = '' where org_id = $1 and customer_id = $2",
		deleted.OrgID, deleted.ID, customer)
	if err != nil {
		return fmt.Errorf("stripesync: replace: %w", err)
	}
	return nil
}

// synced notes what a customer pays for; linked is false if it is no organisation's any more.
func synced(ctx context.Context, tx pgx.Tx, customer, subscription string) (linked bool, err error) {
	tag, err := tx.Exec(ctx, `
update licensing.customers set subscription_id = $2, synced_at = now(), sync_error = '', failed_at = null where customer_id = $1`,
		customer, subscription)
	if err != nil {
		return false, fmt.Errorf("stripesync: synced: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

func failed(ctx context.Context, tx pgx.Tx, customer, cause string) error {
	if _, err := tx.Exec(ctx, "update licensing.customers set sync_error = $2, failed_at = now() where customer_id = $1", customer, cause); err != nil {
		return fmt.Errorf("stripesync: failed: %w", err)
	}
	return nil
}

// Status is how far an organisation's licence is in step with Stripe.
type Status struct {
	OrgID      uuid.UUID
	CustomerID string
	SyncedAt   *time.Time
	FailedAt   *time.Time
	Error      string
	DirtySince *time.Time
	Attempts   int
	Lag        float64 // seconds since the oldest change that is not applied; 0 in step
}

const selectStatus = `
select c.org_id, c.customer_id, c.synced_at, c.failed_at, c.sync_error, q.dirty_since, coalesce(q.attempts, 0),
       coalesce(extract(epoch from now() - q.dirty_since), 0)::float8
  from licensing.customers c
  left join licensing.sync_queue q on q.customer_id = c.customer_id
 where c.org_id > $1
 order by c.org_id limit $2`

// Statuses is a page of all organisations that are customers, by id.
func (q Queue) Statuses(ctx context.Context, after uuid.UUID, limit int) ([]Status, error) {
	items, err := tenantdb.Rows(ctx, q.DB, tenantdb.Platform(), pgx.RowToStructByPos[Status], selectStatus, after, limit)
	if err != nil {
		return nil, fmt.Errorf("stripesync: statuses: %w", err)
	}
	return items, nil
}
