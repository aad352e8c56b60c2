package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/identity/token"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/singleflight"
)

const (
	statusActive   = "active"
	statusDisabled = "disabled"
	statusErased   = "erased"
	// userFreshness bounds how long a user who was turned off is still let in.
	userFreshness = 3 * time.Second
	// loadWithin bounds how long a caller waits for a database that does not answer.
	loadWithin = 2 * time.Second
	usersKept  = 10_000
)

// User is the shadow of someone who signed in.
type User struct {
	ID            uuid.UUID
	Email         string
	EmailVerified bool
	Username      string
	Name          string
	Status        string
	ClaimsAt      time.Time // when the claims were issued that the profile is from
}

// users keeps shadow users, keyed by issuer and subject.
type users struct {
	db     *tenantdb.DB
	now    func() time.Time
	recent *lru.Cache[key, seen]
	flight singleflight.Group
}

type key struct{ issuer, subject string }

type seen struct {
	user User
	at   time.Time
}

func newUsers(db *tenantdb.DB, now func() time.Time) *users {
	recent, err := lru.New[key, seen](usersKept)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &users{db: db, now: now, recent: recent}
}

// of is the shadow of the token's subject, made at first sight and brought up to date when the
// claims say something new. After userFreshness it is read again, not written.
func (u *users) of(ctx context.Context, c *token.Claims) (User, error) {
	k := key{issuer: c.Issuer, subject: c.Subject}
	if s, ok := u.recent.Get(k); ok && u.now().Sub(s.at) < userFreshness && s.user.upToDate(c) {
		return s.user, nil
	}
	// The flight outlives the first caller's request, because the others wait for the same row; its
	// own bound stands in for theirs.
	flight := u.flight.DoChan(k.issuer+"\n"+k.subject, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadWithin)
		defer cancel()
		user, err := u.load(ctx, c)
		switch {
		case err == nil:
			u.recent.Add(k, seen{user: user, at: u.now()})
		case errors.Is(err, context.DeadlineExceeded):
			err = fault.Unavailable("postgres", err)
		}
		return user, err
	})
	select {
	case got := <-flight:
		if got.Err != nil {
			return User{}, got.Err
		}
		return got.Val.(User), nil
	case <-ctx.Done():
		return User{}, ctx.Err()
	}
}

const selectUser = `
select id, email, email_verified, username, name, status, claims_at
  from identity.users where issuer = $1 and subject = $2`

const upsertUser = `
insert into identity.users as u (id, issuer, subject, email, email_verified, username, name, claims_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict on constraint users_issuer_subject do update
   set email = excluded.email, email_verified = excluded.email_verified, username = excluded.username,
       name = excluded.name, claims_at = excluded.claims_at, updated_at = now()
 where u.status = 'active' and u.claims_at < excluded.claims_at
returning id, email, email_verified, username, name, status, claims_at`

func (u *users) load(ctx context.Context, c *token.Claims) (User, error) {
	user, err := u.read(ctx, c)
	if err == nil && user.upToDate(c) || err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return user, err
	}
	user, err = tenantdb.Row(ctx, u.db, tenantdb.Scope{}, pgx.RowToStructByPos[User], upsertUser,
		rowid.New(), c.Issuer, c.Subject, c.Email, c.EmailVerified, c.Username, c.Name, c.IssuedAt)
	if errors.Is(err, pgx.ErrNoRows) { // somebody was faster, with newer claims or with a switch-off
		return u.read(ctx, c)
	}
	if err != nil {
		return User{}, fmt.Errorf("identity: keep user: %w", err)
	}
	return user, nil
}

func (u *users) read(ctx context.Context, c *token.Claims) (User, error) {
	user, err := tenantdb.Row(ctx, u.db, tenantdb.Scope{}, pgx.RowToStructByPos[User], selectUser, c.Issuer, c.Subject)
	if err != nil {
		return User{}, fmt.Errorf("identity: read user: %w", err)
	}
	return user, nil
}

// upToDate says that the claims have nothing to add: they say the same, or are older than what is
// known, or the user is not active and nothing is kept of them any more.
func (u User) upToDate(c *token.Claims) bool {
	same := u.Email == c.Email && u.EmailVerified == c.EmailVerified && u.Username == c.Username && u.Name == c.Name
	return same || !c.IssuedAt.After(u.ClaimsAt) || u.Status != statusActive
}
