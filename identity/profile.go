package identity

import (
	"context"
	"errors"
	"fmt"

	"encore.app/infra/platform/database"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/storage/sqldb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Profile is what is known of a person. An erased one has nothing but the status.
type Profile struct {
	ID       uuid.UUID
	Email    string
	Username string
	Name     string
	Status   string // active, disabled, erased
}

func open() *tenantdb.DB { return tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB)) }

// Profiles are those of ids that are known, by id.
func Profiles(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Profile, error) {
	rows, err := tenantdb.Rows(ctx, open(), tenantdb.Scope{}, pgx.RowToStructByPos[Profile],
		"select id, email, username, name, status from identity.users where id = any($1)", ids)
	if err != nil {
		return nil, fmt.Errorf("identity: profiles: %w", err)
	}
	known := make(map[uuid.UUID]Profile, len(rows))
	for _, p := range rows {
		known[p.ID] = p
	}
	return known, nil
}

// ByEmail are the active users whose issuer vouches for the address, oldest first. There may be
// several: an address is no key.
func ByEmail(ctx context.Context, email string) ([]uuid.UUID, error) {
	ids, err := tenantdb.Rows(ctx, open(), tenantdb.Scope{}, pgx.RowTo[uuid.UUID],
		"select id from identity.users where lower(email) = lower($1) and email_verified and status = 'active' order by id", email)
	if err != nil {
		return nil, fmt.Errorf("identity: by e-mail: %w", err)
	}
	return ids, nil
}

// Erase turns a user into a tombstone and says what was known until then. Issuer and subject stay, so
// that the person stays refused; every token, and every key that they made, is refused from now on.
// Their account at the issuer is deleted, where the app administers it.
// Erasing again changes nothing. Whoever calls it bumps the user's epoch last in tx. A user who is
// not known is [fault.NotFound].
func Erase(ctx context.Context, tx pgx.Tx, user uuid.UUID) (was Profile, err error) {
	var issuer, subject string
	err = tx.QueryRow(ctx, `
select id, email, username, name, status, issuer, subject from identity.users where id = $1 for update`, user).
		Scan(&was.ID, &was.Email, &was.Username, &was.Name, &was.Status, &issuer, &subject)
	if errors.Is(err, pgx.ErrNoRows) {
		return Profile{}, fault.NotFound("user")
	}
	if err == nil && was.Status != statusErased {
		_, err = tx.Exec(ctx, `
update identity.users
   set status = $2, email = '', email_verified = false, username = '', name = '', platform_roles = '{}', updated_at = now()
 where id = $1`, user, statusErased)
	}
	if err == nil {
		err = revoke(ctx, tx, rule{issuer: issuer, kind: bySubject, value: subject, user: user})
	}
	if err == nil {
		err = order(ctx, tx, person{Issuer: issuer, Subject: subject}, accountDelete)
	}
	if err != nil {
		return Profile{}, fmt.Errorf("identity: erase: %w", err)
	}
	return was, nil
}

// ForgetOrg deletes what is kept of an organisation that is being erased: its keys and its
// impersonations.
func ForgetOrg(ctx context.Context, tx pgx.Tx, org uuid.UUID) error {
	for _, sql := range []string{
		"delete from identity.api_keys where org_id = $1",
		"delete from identity.impersonations where org_id = $1",
	} {
		if _, err := tx.Exec(ctx, sql, org); err != nil {
			return fmt.Errorf("identity: forget organisation: %w", err)
		}
	}
	return nil
}
