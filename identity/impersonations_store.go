package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// impersonation is a row of identity.impersonations, without its hash.
type impersonation struct {
	OrgID          uuid.UUID
	ID             uuid.UUID
	UserID         uuid.UUID
	ImpersonatorID uuid.UUID
	Reason         string
	Ticket         string
	Write          bool
	ApprovedBy     *uuid.UUID
	ApprovedAt     *time.Time
	CreatedAt      time.Time
	ExpiresAt      time.Time
	EndedAt        *time.Time
	EndedBy        *uuid.UUID
}

const impersonationColumns = "org_id, id, user_id, impersonator_id, reason, ticket, write, approved_by, approved_at, created_at, expires_at, ended_at, ended_by"

const selectImpersonation = "select " + impersonationColumns + " from identity.impersonations"

// list is a page of an organisation's, or with uuid.Nil of what scope sees, newest first. The next page
// begins before the last id of this one.
func (i *impersonations) list(ctx context.Context, scope tenantdb.Scope, org, before uuid.UUID, limit int) ([]impersonation, error) {
	rows, err := tenantdb.Rows(ctx, i.db, scope, pgx.RowToStructByPos[impersonation],
		selectImpersonation+" where ($1::uuid = $4::uuid or org_id = $1) and ($2::uuid = $4 or id < $2) order by id desc limit $3", org, before, limit, uuid.Nil)
	if err != nil {
		return nil, fmt.Errorf("identity: list impersonations: %w", err)
	}
	return rows, nil
}

func (i *impersonations) one(ctx context.Context, scope tenantdb.Scope, id uuid.UUID) (impersonation, bool, error) {
	found, err := tenantdb.Row(ctx, i.db, scope, pgx.RowToStructByPos[impersonation], selectImpersonation+" where id = $1", id)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, false, nil
	}
	if err != nil {
		return found, false, fmt.Errorf("identity: read impersonation: %w", err)
	}
	return found, true, nil
}

// begin keeps a new impersonation.
func (i *impersonations) begin(ctx context.Context, n impersonation, hash digest, e event.Event) (impersonation, error) {
	return i.write(ctx, tenantdb.Org(n.OrgID), e, func(tx pgx.Tx) (pgx.Rows, error) {
		if err := mayBeActedAs(ctx, tx, n.UserID); err != nil {
			return nil, err
		}
		return tx.Query(ctx, `
insert into identity.impersonations (org_id, id, user_id, impersonator_id, hash, reason, ticket, write, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning `+impersonationColumns,
			n.OrgID, n.ID, n.UserID, n.ImpersonatorID, hash[:], n.Reason, n.Ticket, n.Write, n.ExpiresAt)
	})
}

// mayBeActedAs wants an active user who has no part in the platform.
func mayBeActedAs(ctx context.Context, tx pgx.Tx, user uuid.UUID) error {
	var status string
	var staff bool
	err := tx.QueryRow(ctx, "select status, cardinality(platform_roles) > 0 from identity.users where id = $1 for share", user).
		Scan(&status, &staff)
	switch {
	case errors.Is(err, pgx.ErrNoRows) || err == nil && status != statusActive:
		return fault.NotFound("active user")
	case err == nil && staff:
		return fault.New(errs.PermissionDenied, fault.PolicyDenied, "nobody acts as platform staff")
	}
	return err
}

// approve lets an impersonation write. It takes one that asked for it and is not over.
func (i *impersonations) approve(ctx context.Context, org, id, by uuid.UUID, e event.Event) (impersonation, error) {
	return i.write(ctx, tenantdb.Org(org), e, func(tx pgx.Tx) (pgx.Rows, error) {
		return tx.Query(ctx, `
update identity.impersonations set approved_by = $3, approved_at = now()
 where org_id = $1 and id = $2 and impersonator_id <> $3 and write and approved_at is null and ended_at is null and expires_at > now()
returning `+impersonationColumns, org, id, by)
	})
}

// end ends an impersonation before its time.
func (i *impersonations) end(ctx context.Context, scope tenantdb.Scope, org, id, by uuid.UUID, e event.Event) error {
	_, err := i.write(ctx, scope, e, func(tx pgx.Tx) (pgx.Rows, error) {
		return tx.Query(ctx, `
update identity.impersonations set ended_at = now(), ended_by = $3
 where org_id = $1 and id = $2 and ended_at is null and expires_at > now()
returning `+impersonationColumns, org, id, by)
	})
	return err
}

// write runs a statement that gives back the row, together with its event. No row is
// [fault.NotFound]: there is nothing left to do it to.
func (i *impersonations) write(ctx context.Context, scope tenantdb.Scope, e event.Event, do func(pgx.Tx) (pgx.Rows, error)) (out impersonation, err error) {
	err = i.db.Tx(ctx, scope, func(tx pgx.Tx) error {
		rows, err := do(tx)
		if err != nil {
			return err
		}
		if out, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[impersonation]); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "select pg_notify($1, $2)", channel, out.ID.String()); err != nil {
			return err
		}
		return e.Record(ctx, tx)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return impersonation{}, fault.NotFound("impersonation")
	}
	if err != nil {
		return impersonation{}, fmt.Errorf("identity: %s impersonation: %w", e.Action, err)
	}
	return out, nil
}
