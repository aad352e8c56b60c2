package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"encore.app/authz/principal"
	"encore.app/identity/secret"
	"encore.app/identity/token"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/incident"
	"encore.app/infra/platform/ratelimit"
	"encore.app/infra/platform/redact"
	"encore.app/infra/platform/request"
	encore "encore.dev"
	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/rlog"
)

// Credentials is what a request says about its caller.
type Credentials struct {
	Authorization string `header:"Authorization"`
	RequestID     string `header:"X-Request-ID"`
	Forwarded     string `header:"X-Forwarded-For"`
}

// Authenticate turns a bearer token, an API key or an impersonation into a caller.
//
// It refuses with 401 and unauthenticated, token_malformed, token_type, token_expired,
// bad_signature, wrong_issuer, wrong_audience or token_revoked, and with 429 and rate_limited an
// address that was refused too often.
//
//encore:authhandler
func (s *Service) Authenticate(ctx context.Context, in *Credentials) (auth.UID, *principal.Caller, error) {
	defer incident.Recovered("identity.Authenticate", in.RequestID)
	caller, err := s.authenticate(ctx, in.Authorization)
	count(err)
	if err != nil {
		if in.Authorization != "" || strings.HasPrefix(encore.CurrentRequest().Path, protected) {
			err = tooOften(in.Forwarded, err)
		}
		refused := fault.Finish(err, in.RequestID)
		if cause := fault.Cause(refused); cause != nil { // nobody after this sees it
			rlog.Error("caller not verified", "request_id", in.RequestID, "err", redact.Error(cause))
		}
		if refused.Code == errs.Internal {
			incident.Send(incident.Of(refused, "identity.Authenticate", in.RequestID, ""))
		}
		return "", nil, refused
	}
	return auth.UID(caller.UserID), caller, nil
}

// protected is where nobody gets anything without credentials. Elsewhere, and where a host does not say yet
// what is asked for, calls without any are not counted here: open endpoints are called so, probes above all.
const protected = "/api/v1/"

// tooOften is err, or the refusal of an address that has come too often with credentials that are none.
func tooOften(forwarded string, err error) error {
	if e := fault.As(err); e == nil || e.Code != errs.Unauthenticated {
		return err
	}
	limits, unset := ratelimit.Configured()
	limiter, away := ratelimit.Process()
	if unset != nil || away != nil {
		return err
	}
	ip := request.ClientIP(http.Header{"X-Forwarded-For": {forwarded}})
	for _, v := range limiter.Take(limits.OfAddress(ip)) {
		if v.Limited {
			return ratelimit.Exceeded(v)
		}
	}
	return err
}

func (s *Service) authenticate(ctx context.Context, header string) (*principal.Caller, error) {
	if header == "" {
		return nil, fault.Refused(fault.Unauthenticated, "this needs a bearer token")
	}
	scheme, raw, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return nil, fault.Refused(fault.TokenMalformed, "the Authorization header must be: Bearer, a blank, the token")
	}
	raw = strings.TrimSpace(raw)
	if secret.Is(raw) {
		return s.bySecret(ctx, raw)
	}
	claims, err := s.tokens.Verify(ctx, raw)
	if err != nil {
		return nil, refusal(err)
	}
	user, err := s.users.of(ctx, claims)
	switch {
	case err != nil:
		return nil, err
	case user.Status != statusActive:
		return nil, fault.Refused(fault.TokenRevoked, "this account is not active")
	case user.revoked(claims):
		return nil, refused(fault.TokenRevoked)
	}
	return callerOf(user, claims), nil
}

// bySecret is the caller of a secret that the app itself gave out.
func (s *Service) bySecret(ctx context.Context, raw string) (*principal.Caller, error) {
	kind, org, err := secret.Parse(raw)
	if err != nil {
		return nil, refused(fault.TokenMalformed)
	}
	if kind == secret.Impersonation {
		return s.impersonations.caller(ctx, org, secret.Hash(raw))
	}
	return s.keys.caller(ctx, org, secret.Hash(raw))
}

// callerOf is the one place where a token becomes a caller.
func callerOf(user shadow, c *token.Claims) *principal.Caller {
	return &principal.Caller{
		UserID:               user.ID.String(),
		Issuer:               c.Issuer,
		Subject:              c.Subject,
		Email:                c.Email,
		EmailVerified:        c.EmailVerified,
		Username:             c.Username,
		Audience:             c.Audience,
		RealmRoles:           c.RealmRoles,
		MFALevel:             c.MFALevel,
		SessionID:            c.SessionID,
		AuthTime:             c.AuthTime,
		Expiry:               c.Expiry,
		Organizations:        c.Organizations,
		OrganizationsPresent: c.OrganizationsPresent,
		OrgIDClaim:           c.OrgID,
	}
}

// refusal maps what the verifier found to what the caller is told. The sentences name the rule that
// was broken, never the contents of the token.
func refusal(err error) *errs.Error {
	var e *token.Error
	if !errors.As(err, &e) {
		return fault.Internal(err)
	}
	if e.Reason == token.KeysUnavailable {
		return fault.Unavailable("oidc", err)
	}
	if _, known := refusals[fault.Reason(e.Reason)]; !known {
		return fault.Internal(err)
	}
	return refused(fault.Reason(e.Reason))
}

func refused(reason fault.Reason) *errs.Error { return fault.Refused(reason, refusals[reason]) }

var refusals = map[fault.Reason]string{
	fault.Unauthenticated: "nobody knows this secret",
	fault.TokenMalformed:  "this is not a token that can be read",
	fault.TokenType:       "this is not an access token",
	fault.TokenExpired:    "the token has expired",
	fault.TokenRevoked:    "the token was revoked",
	fault.BadSignature:    "the token's signature is not the issuer's",
	fault.WrongIssuer:     "the token is from another issuer",
	fault.WrongAudience:   "the token is for another audience",
}
