package orgs

import (
	"context"
	"fmt"
	"time"

	"encore.app/audit"
	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/identity"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.app/orgs/setting"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// ownedTables are what an organisation owns here, those first that others refer to last.
var ownedTables = []string{
	"patient_records", "docs", "projects", "invitations", "team_memberships", "teams", "memberships", "settings",
}

var (
	errHeld           = fault.New(errs.FailedPrecondition, fault.LegalHold, "the organisation is under legal hold")
	errExportRequired = fault.New(errs.FailedPrecondition, fault.ExportRequired, "the organisation was not exported since it was suspended")
	errEraseTooEarly  = fault.New(errs.FailedPrecondition, fault.EraseTooEarly, "the organisation was suspended too short a time ago")
	errNotSuspended   = fault.New(errs.FailedPrecondition, fault.NotSuspended, "the organisation is not suspended")
)

// erase deletes everything that an organisation owns, in one transaction.
func (s *Service) erase(ctx context.Context, org uuid.UUID, d authz.Decision, withoutExport bool) (o offboarding, err error) {
	wait, err := s.store.setting(ctx, uuid.Nil, setting.OffboardingEraseAfter)
	if err != nil {
		return o, err
	}
	err = s.store.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
		for _, h := range holdings {
			if err := h.Lock(ctx, tx, org); err != nil {
				return err
			}
		}
		if o, err = locked(ctx, tx, org); err != nil || o.ErasedAt != nil {
			return err
		}
		if err := o.mayBeErased(time.Now(), wait.Resolved.Duration(), withoutExport); err != nil {
			return err
		}
		changes := map[string]any{"exported_at": utc(o.ExportedAt)}
		if changes["rows"], err = eraseOwned(ctx, tx, org); err != nil {
			return err
		}
		e, err := orgEvent(ctx, org, "org:erase", d, changes)
		if err != nil {
			return err
		}
		if o, err = one[offboarding](ctx, tx, updateErased, org); err != nil {
			return err
		}
		return record(ctx, tx, e, org)
	})
	if err != nil && fault.As(err) == nil {
		return o, fmt.Errorf("orgs: erase: %w", err)
	}
	return o, err
}

func locked(ctx context.Context, tx pgx.Tx, org uuid.UUID) (offboarding, error) {
	return one[offboarding](ctx, tx, selectOffboarding+" for update", org)
}

func one[T any](ctx context.Context, tx pgx.Tx, sql string, args ...any) (row T, err error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return row, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[T])
}

// mayBeErased is asked under lock: what the decision saw may have changed since.
func (o offboarding) mayBeErased(now time.Time, wait time.Duration, withoutExport bool) error {
	switch {
	case o.Status != statusSuspended || o.SuspendedAt == nil:
		return errNotSuspended
	case o.HeldAt != nil:
		return errHeld
	case o.ExportedAt == nil && !withoutExport:
		return errExportRequired
	case now.Before(o.SuspendedAt.Add(wait)):
		return errEraseTooEarly
	}
	return nil
}

// eraseOwned deletes the rows of every service and says how many of each kind were here.
func eraseOwned(ctx context.Context, tx pgx.Tx, org uuid.UUID) (map[string]int64, error) {
	for _, h := range holdings {
		if err := h.Erase(ctx, tx, org); err != nil {
			return nil, err
		}
	}
	if err := identity.ForgetOrg(ctx, tx, org); err != nil {
		return nil, err
	}
	if err := audit.EraseSinks(ctx, tx, org); err != nil {
		return nil, err
	}
	n := map[string]int64{}
	for _, table := range ownedTables {
		tag, err := tx.Exec(ctx, "delete from orgs."+table+" where org_id = $1", org)
		if err != nil {
			return nil, err
		}
		n[table] = tag.RowsAffected()
	}
	return n, nil
}

// ErasePersonalData erases a person: who they were, the invitations to their address, and what the
// audit logs hold of them. Their memberships and what they made stay with the organisations, under an
// id that says nothing; they take no seat and count as no owner. Erasing again changes nothing.
//
// Platform administrators with a second factor may, but not themselves. Refuses with policy_denied,
// mfa_required, not_oneself (400) and not_found.
//
//encore:api auth method=DELETE path=/api/v1/admin/users/:user_id/personal-data
func (s *Service) ErasePersonalData(ctx context.Context, user_id uuid.UUID) error {
	d, err := authz.Check(ctx, "user:erase", authz.Resource{Kind: "user", ID: user_id.String(), OwnerID: user_id.String()})
	if err != nil {
		return err
	}
	if acting, err := authz.Principal(ctx); err != nil || acting.ID() == user_id.String() {
		return fault.New(errs.FailedPrecondition, fault.NotOneself, "you cannot erase yourself")
	}
	e := event.New(ctx, uuid.Nil, "user:erase", event.Resource{Kind: "user", ID: user_id.String()}, event.Succeeded, d)
	return s.store.erasePerson(ctx, user_id, e)
}
