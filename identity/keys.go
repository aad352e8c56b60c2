package identity

import (
	"context"
	"fmt"
	"time"

	"encore.app/authz/principal"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// keys knows the API keys that are in use.
type keys struct {
	*fresh[digest, keyInUse]
	db *tenantdb.DB
}

func newKeys(db *tenantdb.DB, now func() time.Time) *keys {
	return &keys{fresh: newFresh[digest, keyInUse](now), db: db}
}

// keyInUse is what decides whether a key still works.
type keyInUse struct {
	OrgID      uuid.UUID
	ID         uuid.UUID
	OrgRoles   []string
	CreatedBy  uuid.UUID
	Until      time.Time // of a secret that was replaced, the end of the overlap
	Revoked    bool
	LastUsedAt *time.Time
}

// A key dies with the account of whoever made it.
const selectKeyInUse = `
select k.org_id, k.id, k.org_roles, k.created_by,
       case when k.hash = $2 then k.expires_at else least(k.expires_at, k.previous_until) end,
       k.revoked_at is not null or u.status <> 'active', k.last_used_at
  from identity.api_keys k
  join identity.users u on u.id = k.created_by
 where k.org_id = $1 and (k.hash = $2 or k.previous_hash = $2)`

// usedEvery is how exactly last_used_at is known: a key in use costs one write in this time.
const usedEvery = time.Minute

const touchKey = `
update identity.api_keys set last_used_at = now()
 where org_id = $1 and id = $2 and (last_used_at is null or last_used_at <= now() - make_interval(secs => $3))`

// caller is who shows the key with this hash. Refuses with unauthenticated, token_revoked and
// token_expired.
func (k *keys) caller(ctx context.Context, org uuid.UUID, hash digest) (*principal.Caller, error) {
	found, err := k.get(ctx, hash,
		func(keyInUse) bool { return true },
		func(ctx context.Context) (keyInUse, error) { return k.load(ctx, org, hash) })
	if err := usable(err, found.Revoked, found.Until, k.now()); err != nil {
		return nil, err
	}
	return &principal.Caller{
		UserID:     found.CreatedBy.String(),
		APIKeyID:   found.ID.String(),
		KeyRoles:   found.OrgRoles,
		OrgIDClaim: found.OrgID.String(),
		Expiry:     found.Until,
	}, nil
}

func (k *keys) load(ctx context.Context, org uuid.UUID, hash digest) (keyInUse, error) {
	found, err := bySQL[keyInUse](ctx, k.db, selectKeyInUse, org, hash)
	if err != nil {
		return found, err
	}
	now := k.now()
	used := found.LastUsedAt != nil && now.Sub(*found.LastUsedAt) < usedEvery
	if used || found.Revoked || !now.Before(found.Until) {
		return found, nil
	}
	err = k.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, touchKey, org, found.ID, usedEvery.Seconds())
		return err
	})
	if err != nil {
		return found, fmt.Errorf("identity: note use of key: %w", err)
	}
	return found, nil
}
