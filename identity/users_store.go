package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"encore.app/audit/event"
	"encore.app/authz/epoch"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// person is a row of identity.users as staff see it.
type person struct {
	ID            uuid.UUID
	Issuer        string
	Subject       string
	Email         string
	EmailVerified bool
	Username      string
	Name          string
	Status        string
	PlatformRoles []string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

const selectPerson = `
select id, issuer, subject, email, email_verified, username, name, status, platform_roles, created_at, updated_at
  from identity.users`

// likeEscape keeps what people type from being a pattern.
var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// people is a page of those whose e-mail address or username begins with query, by id.
func people(ctx context.Context, db *tenantdb.DB, query string, after uuid.UUID, limit int) ([]person, error) {
	where, args := "", []any{after, limit}
	if query != "" {
		where = " and (lower(email) like lower($3) or lower(username) like lower($3))"
		args = append(args, likeEscape.Replace(query)+"%")
	}
	rows, err := tenantdb.Rows(ctx, db, tenantdb.Scope{}, pgx.RowToStructByPos[person],
		selectPerson+" where id > $1"+where+" order by id limit $2", args...)
	if err != nil {
		return nil, fmt.Errorf("identity: list users: %w", err)
	}
	return rows, nil
}

func personByID(ctx context.Context, db *tenantdb.DB, id uuid.UUID) (person, error) {
	p, err := tenantdb.Row(ctx, db, tenantdb.Scope{}, pgx.RowToStructByPos[person], selectPerson+" where id = $1", id)
	if errors.Is(err, pgx.ErrNoRows) {
		return person{}, fault.NotFound("user")
	}
	if err != nil {
		return person{}, fmt.Errorf("identity: read user: %w", err)
	}
	return p, nil
}

var errErased = fault.New(errs.FailedPrecondition, fault.ValidationFailed, "an erased user stays erased")

// change does something to a user who is not erased, in one transaction with its event. do says
// whether there was anything to do; where there was not, nothing is recorded.
func change(ctx context.Context, db *tenantdb.DB, id uuid.UUID, e event.Event, do func(pgx.Tx, person) (bool, error)) (person, error) {
	var p person
	err := db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		one := func(sql string) error {
			rows, err := tx.Query(ctx, sql, id)
			if err == nil {
				p, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[person])
			}
			return err
		}
		if err := one(selectPerson + " where id = $1 for update"); err != nil {
			return err
		}
		if p.Status == statusErased {
			return errErased
		}
		changed, err := do(tx, p)
		if err != nil || !changed {
			return err
		}
		if err := one(selectPerson + " where id = $1"); err != nil {
			return err
		}
		if err := e.Record(ctx, tx); err != nil {
			return err
		}
		return epoch.Bump(ctx, tx, id)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return person{}, fault.NotFound("user")
	}
	if err != nil {
		return person{}, fmt.Errorf("identity: %s: %w", e.Action, err)
	}
	return p, nil
}

// setStatus turns a user off or on again.
func setStatus(ctx context.Context, tx pgx.Tx, p person, status string) (bool, error) {
	if p.Status == status {
		return false, nil
	}
	_, err := tx.Exec(ctx, "update identity.users set status = $2, updated_at = now() where id = $1", p.ID, status)
	return err == nil, err
}

// endSessions refuses every token and every impersonation that p has, and that others have of p.
func endSessions(ctx context.Context, tx pgx.Tx, p person) error {
	_, err := tx.Exec(ctx, `
update identity.impersonations set ended_at = now()
 where (user_id = $1 or impersonator_id = $1) and ended_at is null and expires_at > now()`, p.ID)
	if err != nil {
		return err
	}
	return revoke(ctx, tx, rule{issuer: p.Issuer, kind: bySubject, value: p.Subject, user: p.ID})
}
