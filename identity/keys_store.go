package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/quota"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// apiKey is a row of identity.api_keys, without its hashes.
type apiKey struct {
	OrgID         uuid.UUID
	ID            uuid.UUID
	Name          string
	OrgRoles      []string
	Prefix        string
	CreatedBy     uuid.UUID
	CreatedAt     time.Time
	ExpiresAt     time.Time
	LastUsedAt    *time.Time
	PreviousUntil *time.Time
}

const keyColumns = "org_id, id, name, org_roles, prefix, created_by, created_at, expires_at, last_used_at, previous_until"

// list is a page of an organisation's keys that were not revoked, by id.
func (k *keys) list(ctx context.Context, org, after uuid.UUID, limit int) ([]apiKey, error) {
	rows, err := tenantdb.Rows(ctx, k.db, tenantdb.Org(org), pgx.RowToStructByPos[apiKey],
		"select "+keyColumns+` from identity.api_keys
 where org_id = $1 and id > $2 and revoked_at is null order by id limit $3`, org, after, limit)
	if err != nil {
		return nil, fmt.Errorf("identity: list keys: %w", err)
	}
	return rows, nil
}

// one is a key that was not revoked.
func (k *keys) one(ctx context.Context, org, id uuid.UUID) (apiKey, bool, error) {
	found, err := tenantdb.Row(ctx, k.db, tenantdb.Org(org), pgx.RowToStructByPos[apiKey],
		"select "+keyColumns+" from identity.api_keys where org_id = $1 and id = $2 and revoked_at is null", org, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, false, nil
	}
	if err != nil {
		return found, false, fmt.Errorf("identity: read key: %w", err)
	}
	return found, true, nil
}

// write runs one statement that gives back a key's row, together with its event. No row is
// [fault.NotFound]: somebody was faster.
func (k *keys) write(ctx context.Context, org uuid.UUID, e event.Event, sql string, args ...any) (key apiKey, err error) {
	err = k.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) (err error) {
		key, err = writeKey(ctx, tx, e, sql, args...)
		return err
	})
	return key, notWritten(e, err)
}

func notWritten(e event.Event, err error) error {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fault.NotFound("API key")
	case err != nil:
		return fmt.Errorf("identity: %s key: %w", e.Action, err)
	}
	return nil
}

func writeKey(ctx context.Context, tx pgx.Tx, e event.Event, sql string, args ...any) (apiKey, error) {
	rows, err := tx.Query(ctx, sql+" returning "+keyColumns, args...)
	if err != nil {
		return apiKey{}, err
	}
	key, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[apiKey])
	if err != nil {
		return apiKey{}, err
	}
	if _, err := tx.Exec(ctx, "select pg_notify($1, $2)", channel, key.ID.String()); err != nil {
		return apiKey{}, err
	}
	return key, e.Record(ctx, tx)
}

const countKeys = "select count(*) from identity.api_keys where org_id = $1 and revoked_at is null and expires_at > now()"

// KeysOf is how many API keys of an organisation work.
func KeysOf(ctx context.Context, db *tenantdb.DB, org uuid.UUID) (int64, error) {
	n, err := tenantdb.Row(ctx, db, tenantdb.Org(org), pgx.RowTo[int64], countKeys, org)
	if err != nil {
		return 0, fmt.Errorf("identity: count keys: %w", err)
	}
	return n, nil
}

func (k *keys) create(ctx context.Context, n apiKey, hash digest, e event.Event) (key apiKey, err error) {
	err = k.db.Tx(ctx, tenantdb.Org(n.OrgID), func(tx pgx.Tx) error {
		err := quota.Admit(ctx, tx, n.OrgID, quota.APIKeys, func() (have int64, err error) {
			return have, tx.QueryRow(ctx, countKeys, n.OrgID).Scan(&have)
		})
		if err != nil {
			return err
		}
		key, err = writeKey(ctx, tx, e, `
insert into identity.api_keys (org_id, id, name, org_roles, hash, prefix, created_by, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)`, n.OrgID, n.ID, n.Name, n.OrgRoles, hash[:], n.Prefix, n.CreatedBy, n.ExpiresAt)
		return err
	})
	return key, notWritten(e, err)
}

// rotate gives a key a new secret. The one that it had works until the overlap ends, and an earlier
// one no more.
func (k *keys) rotate(ctx context.Context, org, id uuid.UUID, hash digest, prefix string, overlap time.Duration, e event.Event) (apiKey, error) {
	return k.write(ctx, org, e, `
update identity.api_keys
   set previous_hash = hash, previous_until = now() + make_interval(secs => $5), hash = $3, prefix = $4
 where org_id = $1 and id = $2 and revoked_at is null and expires_at > now()`, org, id, hash[:], prefix, overlap.Seconds())
}

func (k *keys) revoke(ctx context.Context, org, id uuid.UUID, e event.Event) error {
	_, err := k.write(ctx, org, e, `
update identity.api_keys set revoked_at = now() where org_id = $1 and id = $2 and revoked_at is null`, org, id)
	return err
}
