package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/identity/token"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/singleflight"
)

const (
	statusActive = "active"
	// userFreshness bounds how long a user who was turned off is still let in.
	userFreshness = 3 * time.Second
	usersKept     = 10_000
)

// User is the shadow of someone who signed in.
type User struct {
	ID            uuid.UUID
	Email         string
	EmailVerified bool
	Username      string
	Name          string
	Status        string
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
	if s, ok := u.recent.Get(k); ok && u.now().Sub(s.at) < userFreshness && s.user.matches(c) {
		return s.user, nil
	}
	// The flight outlives the first caller's request: the others wait for the same row.
	found, err, _ := u.flight.Do(k.issuer+"\n"+k.subject, func() (any, error) {
		user, err := u.load(context.WithoutCancel(ctx), c)
		if err == nil {
			u.recent.Add(k, seen{user: user, at: u.now()})
		}
		return user, err
	})
	if err != nil {
		return User{}, err
	}
	return found.(User), nil
}

const selectUser = `
select id, email, email_verified, username, name, status
  from identity.users where issuer = $1 and subject = $2`

const upsertUser = `
insert into identity.users (id, issuer, subject, email, email_verified, username, name)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict on constraint users_issuer_subject do update
   set email = excluded.email, email_verified = excluded.email_verified,
       username = excluded.username, name = excluded.name, updated_at = now()
returning id, email, email_verified, username, name, status`

func (u *users) load(ctx context.Context, c *token.Claims) (User, error) {
	user, err := tenantdb.Row(ctx, u.db, tenantdb.Scope{}, pgx.RowToStructByPos[User], selectUser, c.Issuer, c.Subject)
	switch {
	case err == nil && (user.matches(c) || user.Status != statusActive):
		return user, nil
	case err != nil && !errors.Is(err, pgx.ErrNoRows):
		return User{}, fmt.Errorf("identity: read user: %w", err)
	}
	user, err = tenantdb.Row(ctx, u.db, tenantdb.Scope{}, pgx.RowToStructByPos[User], upsertUser,
		rowid.New(), c.Issuer, c.Subject, c.Email, c.EmailVerified, c.Username, c.Name)
	if err != nil {
		return User{}, fmt.Errorf("identity: keep user: %w", err)
	}
	return user, nil
}

func (u User) matches(c *token.Claims) bool {
	return u.Email == c.Email && u.EmailVerified == c.EmailVerified && u.Username == c.Username && u.Name == c.Name
}
