package identity

import (
	"context"
	"time"

	"encore.app/authz/principal"
	"encore.app/infra/platform/tenantdb"
	encore "encore.dev"
	"encore.dev/types/uuid"
)

// impersonations knows the impersonations that are under way.
type impersonations struct {
	*fresh[digest, impersonationInUse]
	db *tenantdb.DB
	// twoPeople says that writing takes a second administrator's approval.
	twoPeople bool
}

func newImpersonations(db *tenantdb.DB, now func() time.Time, twoPeople bool) *impersonations {
	return &impersonations{fresh: newFresh[digest, impersonationInUse](now), db: db, twoPeople: twoPeople}
}

// writingTakesTwo holds where people's data is; for development, whoever asked to write may.
func writingTakesTwo() bool { return encore.Meta().Environment.Type == encore.EnvProduction }

// impersonationInUse is what decides whether an impersonation still works, and for what.
type impersonationInUse struct {
	OrgID          uuid.UUID
	ID             uuid.UUID
	UserID         uuid.UUID
	ImpersonatorID uuid.UUID
	Email          string
	EmailVerified  bool
	Username       string
	Until          time.Time
	Write          bool
	Approved       bool
	Ended          bool
}

// Both people must still be who they were when it began: the one an administrator of the platform,
// the other nobody with a part in it.
const selectImpersonationInUse = `
select i.org_id, i.id, i.user_id, i.impersonator_id, u.email, u.email_verified, u.username, i.expires_at,
       i.write, i.approved_at is not null,
       i.ended_at is not null or u.status <> 'active' or cardinality(u.platform_roles) > 0
         or a.status <> 'active' or not 'platform_admin' = any(a.platform_roles)
  from identity.impersonations i
  join identity.users u on u.id = i.user_id
  join identity.users a on a.id = i.impersonator_id
 where i.org_id = $1 and i.hash = $2`

// caller is the person who is acted as. Refuses with unauthenticated, token_revoked and token_expired.
func (i *impersonations) caller(ctx context.Context, org uuid.UUID, hash digest) (*principal.Caller, error) {
	found, err := i.get(ctx, hash,
		func(impersonationInUse) bool { return true },
		func(ctx context.Context) (impersonationInUse, error) {
			return bySQL[impersonationInUse](ctx, i.db, selectImpersonationInUse, org, hash)
		})
	if err := usable(err, found.Ended, found.Until, i.now()); err != nil {
		return nil, err
	}
	return &principal.Caller{
		UserID:         found.UserID.String(),
		Email:          found.Email,
		EmailVerified:  found.EmailVerified,
		Username:       found.Username,
		ImpersonatorID: found.ImpersonatorID.String(),
		Write:          found.Write && (found.Approved || !i.twoPeople),
		OrgIDClaim:     found.OrgID.String(),
		Expiry:         found.Until,
	}, nil
}
