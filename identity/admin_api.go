package identity

import (
	"context"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/page"
	"encore.dev/beta/errs"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// User is the shadow of someone who signed in.
type User struct {
	ID            uuid.UUID `json:"id"`
	Email         string    `json:"email"`
	EmailVerified bool      `json:"email_verified"`
	Username      string    `json:"username"`
	Name          string    `json:"name"`
	Status        string    `json:"status" schema:"enum=active|disabled|erased"` // active, disabled, erased
	PlatformRoles []string  `json:"platform_roles"`                              // at the last sign-in to the platform's console
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
}

func (p person) payload() *User {
	return &User{
		ID: p.ID, Email: p.Email, EmailVerified: p.EmailVerified, Username: p.Username, Name: p.Name,
		Status: p.Status, PlatformRoles: append([]string{}, p.PlatformRoles...),
		CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(),
	}
}

// maxQuery is more than an e-mail address can be long.
const maxQuery = 320

// ListUsersRequest asks for a page of users.
type ListUsersRequest struct {
	Query  string             `query:"query" schema:"plain=320"` // the beginning of an e-mail address or a username
	Limit  option.Option[int] `query:"limit"`
	Cursor string             `query:"cursor"`
}

// Validate checks the request.
func (r *ListUsersRequest) Validate() error {
	_, _, err := r.page()
	return err
}

func (r *ListUsersRequest) page() (after uuid.UUID, limit int, err error) {
	var c fault.Checks
	limit = page.Limit(&c, r.Limit)
	page.Parse(&c, r.Cursor, &after)
	c.Filter("query", r.Query, maxQuery)
	return after, limit, c.Err()
}

// ListUsersResponse is one page, longest known first.
type ListUsersResponse struct {
	Items      []User `json:"items"`
	NextCursor string `json:"next_cursor"`
}

// ListUsers lists everyone who ever signed in.
//
// Platform staff may. Refuses with policy_denied.
//
//encore:api auth method=GET path=/api/v1/admin/users
func (s *Service) ListUsers(ctx context.Context, r *ListUsersRequest) (*ListUsersResponse, error) {
	if _, err := authz.Check(ctx, "list", authz.Resource{Kind: "user"}); err != nil {
		return nil, err
	}
	after, limit, err := r.page()
	if err != nil {
		return nil, err
	}
	rows, err := people(ctx, s.db, r.Query, after, limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := page.Cut(rows, limit, func(p person) any { return p.ID })
	out := &ListUsersResponse{Items: make([]User, len(rows)), NextCursor: next}
	for i, p := range rows {
		out.Items[i] = *p.payload()
	}
	return out, nil
}

// GetUser is one user.
//
// Platform staff may. Refuses with policy_denied and not_found.
//
//encore:api auth method=GET path=/api/v1/admin/users/:user_id
func (s *Service) GetUser(ctx context.Context, user_id uuid.UUID) (*User, error) {
	if _, err := authz.Check(ctx, "read", userResource(user_id)); err != nil {
		return nil, err
	}
	p, err := personByID(ctx, s.db, user_id)
	if err != nil {
		return nil, err
	}
	return p.payload(), nil
}

// DisableUser turns a user off: every credential of theirs is refused within five seconds, on every
// replica, until they are enabled again. Their account at the issuer follows, where the app
// administers it.
//
// Platform administrators with a second factor may, but not themselves. Refuses with policy_denied,
// mfa_required, not_oneself (400) and not_found.
//
//encore:api auth method=POST path=/api/v1/admin/users/:user_id/disable
func (s *Service) DisableUser(ctx context.Context, user_id uuid.UUID) (*User, error) {
	return s.endingSessions(ctx, user_id, "user:disable", nil, func(tx pgx.Tx, p person) (bool, error) {
		if acting, err := authz.Principal(ctx); err != nil || acting.ID() == p.ID.String() {
			return false, fault.New(errs.FailedPrecondition, fault.NotOneself, "you cannot disable yourself")
		}
		changed, err := setStatus(ctx, tx, p, statusDisabled)
		if err != nil || !changed {
			return false, err
		}
		if err := order(ctx, tx, p, accountDisable); err != nil {
			return false, err
		}
		return true, endSessions(ctx, tx, p)
	})
}

// EnableUser turns a disabled user on again. Tokens from before stay refused: they sign in anew.
//
// Platform administrators with a second factor may. Refuses with policy_denied, mfa_required and
// not_found.
//
//encore:api auth method=POST path=/api/v1/admin/users/:user_id/enable
func (s *Service) EnableUser(ctx context.Context, user_id uuid.UUID) (*User, error) {
	return s.change(ctx, user_id, "user:enable", nil, func(tx pgx.Tx, p person) (bool, error) {
		changed, err := setStatus(ctx, tx, p, statusActive)
		if err != nil || !changed {
			return false, err
		}
		if err := order(ctx, tx, p, accountEnable); err != nil {
			return false, err
		}
		_, err = tx.Exec(ctx, "select pg_notify($1, $2)", channel, p.ID.String())
		return true, err
	})
}

// RevokeSessionsRequest says which session or token; without one, everything issued until now. It is
// in the query, so that nobody has to send an empty body.
type RevokeSessionsRequest struct {
	SessionID string `query:"sid" schema:"plain=200"`
	TokenID   string `query:"jti" schema:"plain=200"`
}

// Validate checks the request.
func (r *RevokeSessionsRequest) Validate() error {
	var c fault.Checks
	c.Filter("sid", r.SessionID, maxFilter)
	c.Filter("jti", r.TokenID, maxFilter)
	return c.Err()
}

// maxFilter is more than any id of a session or a token is long.
const maxFilter = 200

// RevokeSessions refuses a user's tokens that were issued until now, or only those of one session or
// the one token that is named. Every replica refuses them within five seconds. What is issued later
// is good. Without a session or a token named, the sessions at the issuer end as well, where the app
// administers its accounts.
//
// Platform administrators with a second factor may. Refuses with policy_denied, mfa_required,
// validation_failed and not_found.
//
//encore:api auth method=POST path=/api/v1/admin/users/:user_id/revoke-sessions
func (s *Service) RevokeSessions(ctx context.Context, user_id uuid.UUID, r *RevokeSessionsRequest) (*User, error) {
	scope := map[string]any{"scope": r.scope()}
	return s.endingSessions(ctx, user_id, "user:revoke_sessions", scope, func(tx pgx.Tx, p person) (bool, error) {
		if r.SessionID == "" && r.TokenID == "" {
			if err := order(ctx, tx, p, accountSignOut); err != nil {
				return false, err
			}
			return true, endSessions(ctx, tx, p)
		}
		for kind, value := range map[string]string{bySession: r.SessionID, byToken: r.TokenID} {
			if value == "" {
				continue
			}
			if err := revoke(ctx, tx, rule{issuer: p.Issuer, kind: kind, value: value, user: p.ID}); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

func (r *RevokeSessionsRequest) scope() string {
	switch {
	case r.SessionID != "":
		return "session"
	case r.TokenID != "":
		return "token"
	}
	return "all"
}

// endingSessions is change, and answers when the second in which it was made is over. Issuers date
// tokens by the second, so that one of the same second is refused as one from before: whoever signs in
// after the answer is let in.
func (s *Service) endingSessions(ctx context.Context, id uuid.UUID, action string, changes map[string]any, do func(pgx.Tx, person) (bool, error)) (*User, error) {
	user, err := s.change(ctx, id, action, changes, do)
	if err != nil {
		return nil, err
	}
	over := time.NewTimer(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done(): // it is done all the same
	}
	return user, nil
}

// change is what the actions on a user share: decide, do, tell.
func (s *Service) change(ctx context.Context, id uuid.UUID, action string, changes map[string]any, do func(pgx.Tx, person) (bool, error)) (*User, error) {
	d, err := authz.Check(ctx, action, userResource(id))
	if err != nil {
		return nil, err
	}
	e := event.New(ctx, uuid.Nil, action, event.Resource{Kind: "user", ID: id.String()}, event.Succeeded, d)
	if changes != nil {
		if e, err = e.With(changes); err != nil {
			return nil, err
		}
	}
	p, err := change(ctx, s.db, id, e, do)
	if err != nil {
		return nil, err
	}
	s.forget(id.String())
	return p.payload(), nil
}

func userResource(id uuid.UUID) authz.Resource {
	return authz.Resource{Kind: "user", ID: id.String(), OwnerID: id.String()}
}
