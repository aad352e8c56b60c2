package orgs

import (
	"context"
	"fmt"

	"encore.app/audit"
	"encore.app/audit/event"
	"encore.app/identity"
	"encore.app/infra/platform/fault"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// erasedStatus is that of a user who was erased before.
const erasedStatus = "erased"

// erasePerson erases a person everywhere in one transaction. Whoever was erased before is erased
// again, in case something of theirs came in late, but it is no second event.
func (s store) erasePerson(ctx context.Context, user uuid.UUID, e event.Event) error {
	err := s.db.Tx(ctx, platform, func(tx pgx.Tx) error {
		was, err := identity.Erase(ctx, tx, user)
		if err != nil {
			return err
		}
		if err := eraseInvitations(ctx, tx, was.Email); err != nil {
			return err
		}
		if err := markMemberships(ctx, tx, user); err != nil {
			return err
		}
		if err := audit.ErasePerson(ctx, tx, user); err != nil {
			return err
		}
		if was.Status == erasedStatus {
			return nil
		}
		return record(ctx, tx, e, user)
	})
	if err != nil && fault.As(err) == nil {
		return fmt.Errorf("orgs: erase person: %w", err)
	}
	return err
}

// eraseInvitations deletes the invitations to an address, in whatever organisation. Row-level
// security shows them to the platform only while it says whose it is after.
func eraseInvitations(ctx context.Context, tx pgx.Tx, email string) error {
	if email == "" {
		return nil
	}
	if _, err := tx.Exec(ctx, "select set_config('app.erased_email', $1, true)", normalEmail(email)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "delete from orgs.invitations where email = $1", normalEmail(email))
	return err
}

// markMemberships says of a person's memberships that nobody stands behind them. That may leave an
// organisation without an owner: the platform invites the next one. Row-level security shows them to
// the platform only while it says whose it is after.
func markMemberships(ctx context.Context, tx pgx.Tx, user uuid.UUID) error {
	const after = "select set_config('app.erased_user', $1, true)"
	if _, err := tx.Exec(ctx, after, user.String()); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "update orgs.memberships set erased_at = now() where user_id = $1 and erased_at is null", user); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, after, "")
	return err
}
