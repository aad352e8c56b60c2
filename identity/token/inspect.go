package token

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4/json"
)

// algorithms are the only ones accepted: asymmetric, so that a public key can never
// pass for a shared secret.
var algorithms = []string{oidc.RS256, oidc.ES256, oidc.EdDSA}

// headerTypes are the accepted header types; media types ignore case (RFC 7515 §4.1.9).
var headerTypes = []string{"", "jwt", "at+jwt"}

// header holds what we read of a JOSE header. Embedded keys and key addresses (jwk,
// jku, x5c, x5u) are left out: a token does not bring its own key.
type header struct {
	Algorithm string          `json:"alg"`
	KeyID     string          `json:"kid"`
	Type      string          `json:"typ"`
	Critical  json.RawMessage `json:"crit"`
}

// inspected is a token of which only the signature is still in doubt.
type inspected struct {
	header header
	claims Claims
}

// inspect makes every check that needs no key.
func (v *Verifier) inspect(raw string) (*inspected, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || strings.ContainsAny(raw, "\r\n") {
		return nil, refuse(Malformed, "not three parts")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil || part == "" && i < 2 {
			return nil, refuse(Malformed, "not base64url")
		}
	}
	var t inspected
	if err := json.Unmarshal(decoded[0], &t.header); err != nil {
		return nil, refuse(Malformed, "header")
	}
	if t.header.Critical != nil {
		return nil, refuse(Malformed, "critical header")
	}
	w, err := parseClaims(decoded[1])
	if err != nil {
		return nil, refuse(Malformed, "claims")
	}
	if !slices.Contains(headerTypes, strings.ToLower(t.header.Type)) || w.Type != "Bearer" {
		return nil, refuse(WrongType, "")
	}
	if w.Issuer != v.issuer {
		return nil, refuse(WrongIssuer, "")
	}
	audience, ok := v.audience(w)
	if !ok {
		return nil, refuse(WrongAudience, "")
	}
	if w.Subject == "" {
		return nil, refuse(Malformed, "no subject")
	}
	if t.claims, err = v.claims(w, audience); err != nil {
		return nil, err
	}
	if !slices.Contains(algorithms, t.header.Algorithm) {
		return nil, refuse(BadSignature, "algorithm")
	}
	if len(decoded[2]) == 0 {
		return nil, refuse(BadSignature, "unsigned")
	}
	return &t, nil
}

// audience finds the one audience of ours that the token is for. Where it names
// several, the client it was given to decides.
func (v *Verifier) audience(w *wire) (string, bool) {
	var ours, byClient []string
	for audience, client := range v.audiences {
		if slices.Contains(w.Audience, audience) {
			ours = append(ours, audience)
			if client == w.AuthorizedParty {
				byClient = append(byClient, audience)
			}
		}
	}
	switch {
	case len(ours) == 1:
		return ours[0], true
	case len(byClient) == 1:
		return byClient[0], true
	}
	return "", false
}

// claims checks the times and turns the payload into claims.
func (v *Verifier) claims(w *wire, audience string) (Claims, error) {
	client := v.audiences[audience]
	c := Claims{
		Issuer: w.Issuer, Subject: w.Subject, Audience: audience, ClientID: w.AuthorizedParty,
		Email: w.Email, EmailVerified: w.EmailVerified.value, Username: w.PreferredUsername, Name: w.Name,
		RealmRoles: w.RealmAccess.Roles, ClientRoles: w.ResourceAccess[client].Roles,
		MFALevel: v.acr[w.ACR.value], AMR: w.AMR.value, SessionID: w.SessionID, TokenID: w.TokenID,
		Organizations: w.Organization.aliases, OrganizationsPresent: w.Organization.present, OrgID: w.OrgID,
	}
	if w.AuthTime.value > 0 {
		c.AuthTime, _ = numericDate(w.AuthTime.value)
	}
	if w.Expiry == nil || w.IssuedAt == nil {
		return c, refuse(Malformed, "no exp or iat")
	}
	var okExpiry, okIssued bool
	c.Expiry, okExpiry = numericDate(*w.Expiry)
	c.IssuedAt, okIssued = numericDate(*w.IssuedAt)
	notBefore, okBefore := time.Time{}, true
	if w.NotBefore != nil {
		notBefore, okBefore = numericDate(*w.NotBefore)
	}
	now := v.now()
	switch {
	case !okExpiry || !okIssued || !okBefore:
		return c, refuse(Malformed, "times")
	case !now.Before(c.Expiry.Add(v.skew)):
		return c, refuse(Expired, "")
	case c.IssuedAt.After(now.Add(v.skew)) || notBefore.After(now.Add(v.skew)):
		return c, refuse(Malformed, "not valid yet")
	case c.Expiry.Sub(c.IssuedAt) > MaxLifetime:
		return c, refuse(Malformed, "lives too long")
	}
	return c, nil
}

// checkSignature finds the key that the token names and lets go-oidc verify with it.
func (v *Verifier) checkSignature(ctx context.Context, raw string, t *inspected) (*publicKey, error) {
	candidates, err := v.keys.find(ctx, t.header.KeyID, t.header.Algorithm)
	if err != nil {
		return nil, err
	}
	for _, key := range candidates {
		verifier := oidc.NewVerifier(v.issuer, &key.set, &oidc.Config{
			SupportedSigningAlgs: []string{t.header.Algorithm},
			// Audience and times are checked above, where their rules are stricter.
			SkipClientIDCheck: true,
			SkipExpiryCheck:   true,
		})
		if _, err = verifier.Verify(ctx, raw); err == nil {
			return key, nil
		}
	}
	return nil, &Error{Reason: BadSignature, Detail: "signature"}
}
