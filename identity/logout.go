package identity

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/identity/token"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/request"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/beta/errs"
	"encore.dev/rlog"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

// maxLogoutBody bounds a logout request: one token and its name.
const maxLogoutBody = 2 * token.MaxSize

// BackchannelLogout is how the issuer says that somebody signed out (OpenID Connect Back-Channel
// Logout 1.0): a form with a logout_token, signed with the keys that sign access tokens. A token that
// names a session ends that one; one that names only a subject ends all of theirs. Every replica
// refuses their tokens within five seconds.
//
// Anyone may call it; the token's signature says who did. Refuses with validation_failed (a token that
// is not good or was used before), payload_too_large (413) and dependency_unavailable (it cannot be told).
//
//encore:api public raw method=POST path=/oidc/backchannel-logout tag:open
func (s *Service) BackchannelLogout(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	err := s.logout(w, r)
	if err == nil {
		w.WriteHeader(http.StatusOK)
		return
	}
	refused := fault.Finish(err, request.From(r.Context()).ID)
	if cause := fault.Cause(refused); cause != nil {
		rlog.Error("back-channel logout", "err", cause)
	}
	errs.HTTPError(w, refused)
}

func (s *Service) logout(w http.ResponseWriter, r *http.Request) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return notLoggedOut("the body must be a form")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxLogoutBody)
	if err := r.ParseForm(); err != nil || len(r.PostForm["logout_token"]) != 1 {
		return notLoggedOut("the form must hold one logout_token")
	}
	out, err := s.tokens.VerifyLogout(r.Context(), r.PostForm.Get("logout_token"))
	var wrong *token.Error
	switch {
	case errors.As(err, &wrong) && wrong.Reason == token.KeysUnavailable:
		return fault.Unavailable("oidc", err)
	case err != nil:
		return notLoggedOut("the logout_token is not good")
	}
	if err := s.endLoggedOut(r.Context(), out); !errors.Is(err, errReplayed) {
		return err
	}
	return notLoggedOut("the logout_token was used before")
}

// notLoggedOut is the refusal of §2.8.
func notLoggedOut(sentence string) error {
	return fault.New(errs.InvalidArgument, fault.ValidationFailed, sentence)
}

var errReplayed = errors.New("identity: logout token was seen before")

// endLoggedOut ends what out names, once.
func (s *Service) endLoggedOut(ctx context.Context, out *token.Logout) error {
	r := rule{issuer: out.Issuer, kind: bySession, value: out.SessionID}
	if out.SessionID == "" {
		r.kind, r.value = bySubject, out.Subject
	}
	return s.db.Tx(ctx, tenantdb.Scope{}, func(tx pgx.Tx) error {
		if err := once(ctx, tx, out); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, "select id from identity.users where issuer = $1 and subject = $2", out.Issuer, out.Subject).Scan(&r.user)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) { // the rule holds for one who was never seen, too
			return err
		}
		if err := revoke(ctx, tx, r); err != nil {
			return err
		}
		ctx := principal.NewContext(ctx, principal.System("backchannel-logout"))
		e, err := event.New(ctx, uuid.Nil, "logout", event.Resource{Kind: "user", ID: r.user.String()}, event.Succeeded, authz.Decision{}).
			With(map[string]any{"by": r.kind})
		if err != nil {
			return err
		}
		return e.Record(ctx, tx)
	})
}

// once takes a logout token if nobody has.
func once(ctx context.Context, tx pgx.Tx, out *token.Logout) error {
	_, err := tx.Exec(ctx, `
delete from identity.logout_tokens where (issuer, jti) in (
       select issuer, jti from identity.logout_tokens where expires_at < now() limit 100 for update skip locked)`)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, "insert into identity.logout_tokens (issuer, jti, expires_at) values ($1, $2, $3) on conflict do nothing",
		out.Issuer, out.TokenID, out.Expiry.Add(time.Minute))
	if err == nil && tag.RowsAffected() == 0 {
		err = errReplayed
	}
	return err
}
