// Package auth tells who the running request is for.
package auth

import (
	"context"

	"encore.dev/internal/scope"
)

// UID identifies a user.
type UID string

// UserID gives the caller of the running request. It is false if there is none.
func UserID() (UID, bool) {
	uid := caller().UID
	return UID(uid), uid != ""
}

// Data gives what the auth handler said about the caller, or nil.
func Data() any { return caller().Data }

func caller() scope.Caller {
	if s := scope.Current(); s != nil {
		return s.Caller()
	}
	return scope.Caller{}
}

// WithContext sets who API calls made with the returned context are made for. It does not change
// the running request. An empty uid means nobody.
//
// data must have the auth handler's type and must not be nil when uid is set and the auth handler
// returns data; a call made otherwise fails.
func WithContext(ctx context.Context, uid UID, data interface{}) context.Context {
	return scope.WithCaller(ctx, scope.Caller{UID: string(uid), Data: data})
}
