package token

import (
	"bytes"
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// algorithms are the only ones accepted: asymmetric, so that a public key can never
// pass for a shared secret.
var algorithms = []string{oidc.RS256, oidc.ES256, oidc.EdDSA}

// headerTypes are the accepted header types; media types ignore case (RFC 7515 §4.1.9).
var headerTypes = []string{"", "jwt", "at+jwt"}

// header holds what we read of a JOSE header.
type header struct {
	Algorithm string         `json:"alg"`
	KeyID     string         `json:"kid"`
	Type      string         `json:"typ"`
	Critical  jsontext.Value `json:"crit"`

	// A token does not bring its own key, nor the address of one.
	JWK jsontext.Value `json:"jwk"`
	JKU jsontext.Value `json:"jku"`
	X5C jsontext.Value `json:"x5c"`
	X5U jsontext.Value `json:"x5u"`
}

func (h *header) bringsKey() bool {
	return h.JWK != nil || h.JKU != nil || h.X5C != nil || h.X5U != nil
}

// inspected is a token of which only the signature is still in doubt.
type inspected struct {
	header    header
	claims    Claims
	signed    []byte // what the signature is over
	signature []byte
}

// base64url is as RFC 7515 has it: no padding, and one spelling for each value. What it lets pass
// and should not, line breaks, is looked for by its callers.
var base64url = base64.RawURLEncoding.Strict()

// inspect makes every check that needs no key. What it returns shares scratch, which has room for
// raw and for what raw decodes to.
func (v *Verifier) inspect(raw []byte, scratch []byte) (*inspected, error) {
	first, last := bytes.IndexByte(raw, '.'), bytes.LastIndexByte(raw, '.')
	if first <= 0 || last <= first+1 || bytes.IndexByte(raw[first+1:last], '.') >= 0 || bytes.ContainsAny(raw, "\r\n") {
		return nil, refuse(Malformed, "not three parts")
	}
	var decoded [3][]byte
	for i, part := range [][]byte{raw[:first], raw[first+1 : last], raw[last+1:]} {
		n, err := base64url.Decode(scratch, part)
		if err != nil {
			return nil, refuse(Malformed, "not base64url")
		}
		decoded[i], scratch = scratch[:n], scratch[n:]
	}
	t := inspected{signed: raw[:last], signature: decoded[2]}
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
	if t.header.bringsKey() {
		return nil, refuse(BadSignature, "brings a key")
	}
	if len(t.signature) == 0 {
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

// checkSignature finds the key that the token names and verifies with it.
func (v *Verifier) checkSignature(ctx context.Context, t *inspected) (*publicKey, error) {
	candidates, err := v.keys.find(ctx, t.header.KeyID, t.header.Algorithm)
	if err != nil {
		return nil, err
	}
	for _, key := range candidates {
		if key.verifies(t.signed, t.signature) {
			return key, nil
		}
	}
	return nil, &Error{Reason: BadSignature, Detail: "signature"}
}
