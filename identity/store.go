package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"encore.app/authz/principal"
	"encore.app/identity/token"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	statusActive   = "active"
	statusDisabled = "disabled"
	statusErased   = "erased"
)

// shadow is what is kept of someone who signed in, and what refuses their tokens.
type shadow struct {
	ID            uuid.UUID
	Email         string
	EmailVerified bool
	Username      string
	Name          string
	Status        string
	ClaimsAt      time.Time // when the claims were issued that the profile is from
	PlatformRoles []string
	RolesAt       time.Time // when the claims were issued that the platform roles are from
	IssuedBefore  time.Time // tokens issued before are refused
	Ended         bool      // the token's session was ended, or the token itself
}

// users keeps shadow users, keyed by issuer and subject, for each session and token of theirs.
type users struct {
	*fresh[key, shadow]
	db *tenantdb.DB
}

type key struct{ issuer, subject, session, token string }

func (k key) flight() string {
	return k.issuer + "\n" + k.subject + "\n" + k.session + "\n" + k.token
}

func newUsers(db *tenantdb.DB, now func() time.Time) *users {
	return &users{fresh: newFresh[key, shadow](now), db: db}
}

// of is the shadow of the token's subject, made at first sight and brought up to date when the
// claims say something new. After userFreshness it is read again, not written.
func (u *users) of(ctx context.Context, c *token.Claims) (shadow, error) {
	k := key{issuer: c.Issuer, subject: c.Subject, session: c.SessionID, token: c.TokenID}
	return u.get(ctx, k,
		func(s shadow) bool { return s.upToDate(c) },
		func(ctx context.Context) (shadow, error) { return u.load(ctx, c) })
}

const selectUser = `
select u.id, u.email, u.email_verified, u.username, u.name, u.status, u.claims_at, u.platform_roles, u.platform_roles_at,
       coalesce((select r.issued_before from identity.revocations r
                  where r.issuer = u.issuer and r.kind = 'sub' and r.value = u.subject), 'epoch'),
       exists (select from identity.revocations r
                where r.issuer = u.issuer and (r.kind = 'sid' and r.value = $3 or r.kind = 'jti' and r.value = $4))
  from identity.users u where u.issuer = $1 and u.subject = $2`

const upsertUser = `
insert into identity.users as u (id, issuer, subject, email, email_verified, username, name, claims_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict on constraint users_issuer_subject do update
   set email = excluded.email, email_verified = excluded.email_verified, username = excluded.username,
       name = excluded.name, claims_at = excluded.claims_at, updated_at = now()
 where u.status = 'active' and u.claims_at < excluded.claims_at`

const updateRoles = `
update identity.users set platform_roles = $3, platform_roles_at = $4, updated_at = now()
 where issuer = $1 and subject = $2 and status = 'active' and platform_roles_at < $4`

// load reads the shadow. What the claims add is written first and read again, because somebody may
// have been faster, with newer claims or with a switch-off.
func (u *users) load(ctx context.Context, c *token.Claims) (shadow, error) {
	s, err := u.read(ctx, c)
	known := err == nil
	if known && s.upToDate(c) || !known && !errors.Is(err, pgx.ErrNoRows) {
		return s, err
	}
	err = u.db.Tx(ctx, tenantdb.Scope{}, func(tx pgx.Tx) error {
		if !known || !s.profileUpToDate(c) {
			if _, err := tx.Exec(ctx, upsertUser,
				rowid.New(), c.Issuer, c.Subject, c.Email, c.EmailVerified, c.Username, c.Name, c.IssuedAt); err != nil {
				return err
			}
		}
		if s.rolesUpToDate(c) {
			return nil
		}
		_, err := tx.Exec(ctx, updateRoles, c.Issuer, c.Subject, platformRoles(c), c.IssuedAt)
		return err
	})
	if err != nil {
		return shadow{}, fmt.Errorf("identity: keep user: %w", err)
	}
	return u.read(ctx, c)
}

func (u *users) read(ctx context.Context, c *token.Claims) (shadow, error) {
	s, err := tenantdb.Row(ctx, u.db, tenantdb.Scope{}, pgx.RowToStructByPos[shadow], selectUser,
		c.Issuer, c.Subject, c.SessionID, c.TokenID)
	if err != nil {
		return shadow{}, fmt.Errorf("identity: read user: %w", err)
	}
	return s, nil
}

// revoked says that a rule refuses the token. Issuers date tokens by the second, so that one issued
// in the second of the revocation counts as issued before it.
func (s shadow) revoked(c *token.Claims) bool { return s.Ended || c.IssuedAt.Before(s.IssuedBefore) }

// upToDate says that the claims have nothing to add: they say the same, or are older than what is
// known, or the user is not active and nothing is kept of them any more.
func (s shadow) upToDate(c *token.Claims) bool {
	return s.Status != statusActive || s.profileUpToDate(c) && s.rolesUpToDate(c)
}

func (s shadow) profileUpToDate(c *token.Claims) bool {
	same := s.Email == c.Email && s.EmailVerified == c.EmailVerified && s.Username == c.Username && s.Name == c.Name
	return same || !c.IssuedAt.After(s.ClaimsAt)
}

// rolesUpToDate: only tokens for the platform's console name platform roles, so others say nothing
// by leaving them out.
func (s shadow) rolesUpToDate(c *token.Claims) bool {
	return c.Audience != principal.AudienceAdmin || !c.IssuedAt.After(s.RolesAt) || slices.Equal(s.PlatformRoles, platformRoles(c))
}

// platformRoles are the realm roles that give rights over the platform.
func platformRoles(c *token.Claims) []string {
	out := []string{}
	for _, role := range c.RealmRoles {
		if strings.HasPrefix(role, "platform_") {
			out = append(out, role)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
