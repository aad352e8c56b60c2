package token

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Logout is a logout token that was verified (OpenID Connect Back-Channel Logout 1.0 §2.4). It names a
// session, a subject or both.
type Logout struct {
	Issuer    string
	Subject   string
	SessionID string
	TokenID   string
	Expiry    time.Time
}

// logoutTypes are the accepted header types of a logout token; issuers need not set one.
var logoutTypes = []string{"", "jwt", "logout+jwt"}

// VerifyLogout returns what a good logout token says or an *Error. Whether it was seen before is for
// the caller to remember until its Expiry.
func (v *Verifier) VerifyLogout(ctx context.Context, raw string) (*Logout, error) {
	head, err := v.inspectLogout(raw)
	if err != nil {
		return nil, err
	}
	candidates, err := v.keys.find(ctx, head.KeyID, head.Algorithm)
	if err != nil {
		return nil, err
	}
	for _, key := range candidates {
		verifier := oidc.NewVerifier(v.issuer, &key.set, &oidc.Config{
			SupportedSigningAlgs: []string{head.Algorithm},
			SkipClientIDCheck:    true, // any client of ours, checked below
			SkipExpiryCheck:      true, // checked below, where the skew is known
		})
		if t, err := verifier.VerifyLogout(ctx, raw); err == nil {
			return v.logout(t)
		}
	}
	return nil, refuse(BadSignature, "signature")
}

// inspectLogout makes the checks that need no key.
func (v *Verifier) inspectLogout(raw string) (head header, err error) {
	var payload logoutPayload
	parts := strings.Split(raw, ".")
	if len(raw) > MaxSize || len(parts) != 3 || strings.ContainsAny(raw, "\r\n") {
		return head, refuse(Malformed, "not three parts")
	}
	for i, into := range []any{&head, &payload} {
		text, err := base64url.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			return head, refuse(Malformed, "part")
		}
	}
	switch {
	case head.Critical != nil:
		return head, refuse(Malformed, "critical header")
	case !slices.Contains(logoutTypes, strings.ToLower(head.Type)):
		return head, refuse(WrongType, "")
	case !slices.Contains(algorithms, head.Algorithm) || head.bringsKey():
		return head, refuse(BadSignature, "algorithm")
	case payload.Issuer != v.issuer:
		return head, refuse(WrongIssuer, "")
	}
	if broken := payload.fault(); broken != "" {
		return head, refuse(Malformed, broken)
	}
	return head, nil
}

// logout checks what go-oidc leaves to its caller.
func (v *Verifier) logout(t *oidc.LogoutToken) (*Logout, error) {
	ours := false
	for _, client := range v.audiences {
		ours = ours || slices.Contains(t.Audience, client)
	}
	now := v.now()
	switch {
	case !ours:
		return nil, refuse(WrongAudience, "")
	case !now.Before(t.Expiry.Add(v.skew)):
		return nil, refuse(Expired, "")
	case t.IssuedAt.IsZero() || t.IssuedAt.After(now.Add(v.skew)) || t.Expiry.Sub(t.IssuedAt) > MaxLifetime:
		return nil, refuse(Malformed, "times")
	}
	return &Logout{Issuer: t.Issuer, Subject: t.Subject, SessionID: t.SessionID, TokenID: t.TokenID, Expiry: t.Expiry.Add(v.skew)}, nil
}

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

type logoutPayload struct {
	Issuer    string                    `json:"iss"`
	Subject   string                    `json:"sub"`
	SessionID string                    `json:"sid"`
	TokenID   string                    `json:"jti"`
	Expiry    *float64                  `json:"exp"`
	Nonce     jsontext.Value            `json:"nonce"`
	Events    map[string]jsontext.Value `json:"events"`
}

// fault says which rule of §2.4 the payload breaks; "" if none.
func (p logoutPayload) fault() string {
	switch {
	case p.Nonce != nil:
		return "nonce"
	case p.Events[logoutEvent] == nil:
		return "events"
	case p.TokenID == "" || p.Expiry == nil:
		return "no jti or exp"
	case p.Subject == "" && p.SessionID == "":
		return "neither sub nor sid"
	}
	return ""
}
