package keycloak

import (
	"errors"
	"fmt"
	"net/http"
)

var (
	// ErrNotFound is a user, organisation, client or role that is not there.
	ErrNotFound = errors.New("not found")
	// ErrForbidden is a service account without the right to do what was asked.
	ErrForbidden = errors.New("the service account may not do this")
	// ErrCredentials is a service account whose secret is wrong.
	ErrCredentials = errors.New("the service account's credentials are refused")
	// ErrUnavailable is a server that cannot be reached or fails.
	ErrUnavailable = errors.New("keycloak is not available")
	// ErrPublicClient is a client that has no secret to rotate.
	ErrPublicClient = errors.New("the client is public and has no secret")
)

// Error is an operation that failed. It unwraps to one of the errors above where one fits.
type Error struct {
	Op     string // such as "disable user"
	Status int    // of the answer, 0 without one
	Err    error
}

func (e *Error) Error() string {
	switch {
	case e.Err != nil && e.Status != 0:
		return fmt.Sprintf("keycloak: %s: %v (status %d)", e.Op, e.Err, e.Status)
	case e.Err != nil:
		return fmt.Sprintf("keycloak: %s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("keycloak: %s: answered with status %d", e.Op, e.Status)
}

func (e *Error) Unwrap() error { return e.Err }

// statusError is the answer of a status that the operation did not expect.
func statusError(op string, status int) *Error {
	e := &Error{Op: op, Status: status}
	switch {
	case status == http.StatusNotFound:
		e.Err = ErrNotFound
	case status == http.StatusForbidden:
		e.Err = ErrForbidden
	case status == http.StatusUnauthorized:
		e.Err = ErrCredentials
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		e.Err = ErrUnavailable
	}
	return e
}
