package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"encore.app/authz/principal"
	"encore.app/identity/token"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/ratelimit"
	"encore.app/infra/platform/request"
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

// Authenticate turns a bearer token into a caller.
//
// It refuses with 401 and unauthenticated, token_malformed, token_type, token_expired,
// bad_signature, wrong_issuer, wrong_audience or token_revoked, and with 429 and rate_limited an
// address that was refused too often.
//
//encore:authhandler
func (s *Service) Authenticate(ctx context.Context, in *Credentials) (auth.UID, *principal.Caller, error) {
	caller, err := s.authenticate(ctx, in.Authorization)
	if err != nil {
		if in.Authorization != "" { // a public endpoint may be called with none, and probes are
			err = tooOften(ctx, in.Forwarded, err)
		}
		refused := fault.Finish(err, in.RequestID)
		if cause := fault.Cause(refused); cause != nil { // nobody after this sees it
			rlog.Error("caller not verified", "request_id", in.RequestID, "err", cause)
		}
		return "", nil, refused
	}
	return auth.UID(caller.UserID), caller, nil
}

// tooOften is err, or the refusal of an address that has come too often with credentials that are none.
func tooOften(ctx context.Context, forwarded string, err error) error {
	if e := fault.As(err); e == nil || e.Code != errs.Unauthenticated {
		return err
	}
	ip := request.ClientIP(http.Header{"X-Forwarded-For": {forwarded}})
	v, limits := ratelimit.TakeAddress(ctx, ip)
	if limits != nil || !v.Limited {
		return err
	}
	return ratelimit.Exceeded(v)
}

func (s *Service) authenticate(ctx context.Context, header string) (*principal.Caller, error) {
	if header == "" {
		return nil, fault.Refused(fault.Unauthenticated, "this needs a bearer token")
	}
	scheme, raw, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return nil, fault.Refused(fault.TokenMalformed, "the Authorization header must be: Bearer, a blank, the token")
	}
	claims, err := s.tokens.Verify(ctx, strings.TrimSpace(raw))
	if err != nil {
		return nil, refusal(err)
	}
	user, err := s.users.of(ctx, claims)
	if err != nil {
		return nil, err
	}
	if user.Status != statusActive {
		return nil, fault.Refused(fault.TokenRevoked, "this account is not active")
	}
	return callerOf(user, claims), nil
}

// callerOf is the one place where a token becomes a caller.
func callerOf(user User, c *token.Claims) *principal.Caller {
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
	sentence, known := refusals[fault.Reason(e.Reason)]
	if !known {
		return fault.Internal(err)
	}
	return fault.Refused(fault.Reason(e.Reason), sentence)
}

var refusals = map[fault.Reason]string{
	fault.TokenMalformed: "this is not a token that can be read",
	fault.TokenType:      "this is not an access token",
	fault.TokenExpired:   "the token has expired",
	fault.TokenRevoked:   "the token was revoked",
	fault.BadSignature:   "the token's signature is not the issuer's",
	fault.WrongIssuer:    "the token is from another issuer",
	fault.WrongAudience:  "the token is for another audience",
}
