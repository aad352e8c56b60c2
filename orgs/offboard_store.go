package orgs

import (
	"context"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// offboarding are the columns of orgs.orgs that tell of the way out.
type offboarding struct {
	ID          uuid.UUID
	Status      string
	SuspendedAt *time.Time
	ExportedAt  *time.Time
	HeldAt      *time.Time
	HoldReason  string
	ErasedAt    *time.Time
}

const (
	offboardingColumns = "o.id, o.status, o.suspended_at, o.exported_at, o.held_at, o.hold_reason, o.erased_at"
	selectOffboarding  = "select " + offboardingColumns + " from orgs.orgs o where o.id = $1"
	updateHold         = `
update orgs.orgs o set held_at = case when $2 then coalesce(o.held_at, now()) end, hold_reason = case when $2 then $3 else '' end, updated_at = now()
 where o.id = $1 and o.erased_at is null returning ` + offboardingColumns
	updateErased = `
update orgs.orgs o set slug = 'erased-' || o.id, name = 'Erased', license_tier = 'free', feature_flags = '{}', seats = null,
       erased_at = now(), version = o.version + 1, updated_at = now()
 where o.id = $1 returning ` + offboardingColumns
)

var errErased = fault.New(errs.FailedPrecondition, fault.Erased, "the organisation was erased")

func (s store) offboarding(ctx context.Context, org uuid.UUID) (offboarding, error) {
	o, err := tenantdb.Row(ctx, s.db, platform, pgx.RowToStructByPos[offboarding], selectOffboarding, org)
	if err != nil {
		return offboarding{}, fmt.Errorf("orgs: offboarding: %w", err)
	}
	return o, nil
}

// hold sets or ends a legal hold together with its audit event.
func (s store) hold(ctx context.Context, org uuid.UUID, on bool, reason string, e event.Event) (offboarding, error) {
	o, err := write[offboarding](ctx, s, statement{scope: platform, event: e, sql: updateHold, args: []any{org, on, reason}})
	switch {
	case err == errStale:
		return offboarding{}, errErased
	case err != nil:
		return offboarding{}, fmt.Errorf("orgs: legal hold: %w", err)
	}
	return o, nil
}
