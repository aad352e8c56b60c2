package keycloak

import (
	"context"
	"net/http"
	"net/url"
	"slices"
)

// Required actions that a person does at the next sign-in.
const (
	ActionVerifyEmail    = "VERIFY_EMAIL"
	ActionUpdatePassword = "UPDATE_PASSWORD"
	ActionConfigureTOTP  = "CONFIGURE_TOTP"
)

// User is an account.
type User struct {
	ID              string   `json:"id"`
	Username        string   `json:"username"`
	Email           string   `json:"email"`
	FirstName       string   `json:"firstName"`
	LastName        string   `json:"lastName"`
	Enabled         bool     `json:"enabled"`
	RequiredActions []string `json:"requiredActions"`
}

// NewUser is an account to be made.
type NewUser struct {
	Email           string
	FirstName       string
	LastName        string
	RequiredActions []string
}

func userPath(id string, more ...string) string {
	p := "/users/" + url.PathEscape(id)
	for _, m := range more {
		p += "/" + url.PathEscape(m)
	}
	return p
}

// FindUser looks an account up by its e-mail address.
func (c *Client) FindUser(ctx context.Context, email string) (User, error) {
	const op = "find user"
	found, err := get[[]User](ctx, c, op, "/users", url.Values{"email": {email}, "exact": {"true"}})
	if err != nil {
		return User{}, err
	}
	if len(found) == 0 || email == "" {
		return User{}, &Error{Op: op, Err: ErrNotFound}
	}
	return found[0], nil
}

// User reads an account.
func (c *Client) User(ctx context.Context, id string) (User, error) {
	return get[User](ctx, c, "read user", userPath(id), nil)
}

// EnsureUser returns the account with an e-mail address and makes it where there is none. One that is
// there is left as it is.
func (c *Client) EnsureUser(ctx context.Context, n NewUser) (user User, created bool, err error) {
	const op = "create user"
	user, err = c.FindUser(ctx, n.Email)
	if !isNotFound(err) {
		return user, false, err
	}
	got, err := c.do(ctx, call{op: op, method: http.MethodPost, path: "/users", want: []int{http.StatusCreated, http.StatusConflict}, body: map[string]any{
		"username": n.Email, "email": n.Email, "firstName": n.FirstName, "lastName": n.LastName, "enabled": true,
		"requiredActions": append([]string{}, n.RequiredActions...),
	}})
	if err != nil {
		return User{}, false, err
	}
	if got.status == http.StatusConflict { // made meanwhile, by another or by an attempt whose answer was lost
		user, err = c.FindUser(ctx, n.Email)
		return user, false, err
	}
	user, err = c.User(ctx, createdID(got))
	return user, true, err
}

// SetTemporaryPassword gives an account a password that has to be changed at the next sign-in.
func (c *Client) SetTemporaryPassword(ctx context.Context, id, password string) error {
	return c.put(ctx, "set password", userPath(id, "reset-password"), map[string]any{
		"type": "password", "value": password, "temporary": true,
	})
}

// DisableUser keeps a person from signing in and ends the sessions there are.
func (c *Client) DisableUser(ctx context.Context, id string) error {
	if err := c.put(ctx, "disable user", userPath(id), map[string]any{"enabled": false}); err != nil {
		return err
	}
	return c.LogoutUser(ctx, id)
}

// EnableUser lets a person sign in again.
func (c *Client) EnableUser(ctx context.Context, id string) error {
	return c.put(ctx, "enable user", userPath(id), map[string]any{"enabled": true})
}

// DeleteUser deletes an account with all that is kept of the person.
func (c *Client) DeleteUser(ctx context.Context, id string) error {
	return c.delete(ctx, "delete user", userPath(id))
}

// LogoutUser ends every session of a person; the clients that ask for it are told by Keycloak.
func (c *Client) LogoutUser(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{op: "log user out", method: http.MethodPost, path: userPath(id, "logout"), want: []int{http.StatusNoContent}})
	return err
}

// secondFactors are the types of credentials that prove a second factor.
var secondFactors = []string{"otp", "webauthn", "webauthn-passwordless", "recovery-authn-codes"}

// ResetMFA takes a person's second factors away and asks for a new one-time code device. It ends the
// sessions as well: whoever lost a device may have lost it to somebody.
func (c *Client) ResetMFA(ctx context.Context, id string) error {
	const op = "reset second factor"
	user, err := c.User(ctx, id)
	if err != nil {
		return err
	}
	// The requirement first: an attempt that breaks off in between leaves nobody without a second factor.
	if actions := user.RequiredActions; !slices.Contains(actions, ActionConfigureTOTP) {
		if err := c.put(ctx, op, userPath(id), map[string]any{"requiredActions": append(slices.Clone(actions), ActionConfigureTOTP)}); err != nil {
			return err
		}
	}
	type credential struct {
		ID   string `json:"id"`
		Type string `json:"type"`
	}
	credentials, err := get[[]credential](ctx, c, op, userPath(id, "credentials"), nil)
	if err != nil {
		return err
	}
	for _, one := range credentials {
		if !slices.Contains(secondFactors, one.Type) {
			continue
		}
		if err := c.delete(ctx, op, userPath(id, "credentials", one.ID)); err != nil {
			return err
		}
	}
	return c.LogoutUser(ctx, id)
}

// RoleMembers lists who has a realm role directly.
func (c *Client) RoleMembers(ctx context.Context, role string) ([]User, error) {
	return all[User](ctx, c, "list role members", "/roles/"+url.PathEscape(role)+"/users")
}

func (c *Client) put(ctx context.Context, op, path string, body any) error {
	_, err := c.do(ctx, call{op: op, method: http.MethodPut, path: path, body: body, want: []int{http.StatusNoContent}})
	return err
}

// delete is content with what is gone already.
func (c *Client) delete(ctx context.Context, op, path string) error {
	_, err := c.do(ctx, call{op: op, method: http.MethodDelete, path: path, want: []int{http.StatusNoContent, http.StatusNotFound}})
	return err
}
