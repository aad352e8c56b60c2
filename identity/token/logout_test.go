package token_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"encore.app/identity/token"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutClaims is a good logout token's payload with changes; a nil value removes a claim.
func (b *bench) logoutClaims(changes map[string]any) map[string]any {
	now := b.clock.Now()
	claims := map[string]any{
		"iss": b.issuer.iss(), "aud": "app", "sub": "user-1", "sid": "session-1", "jti": "logout-1",
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "typ": "Logout",
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
	for name, value := range changes {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	return claims
}

func TestLogoutTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	after := func(d time.Duration) int64 { return start.Add(d).Unix() }
	head := map[string]any{"alg": "RS256", "kid": "rsa", "typ": "logout+jwt"}
	sign := func(changes map[string]any) string {
		return signParts(t, rsaKey(), encode(t, head), encode(t, b.logoutClaims(changes)))
	}
	withHeader := func(name string, value any) string {
		changed := map[string]any{"alg": "RS256", "kid": "rsa", "typ": "logout+jwt", name: value}
		return signParts(t, rsaKey(), encode(t, changed), encode(t, b.logoutClaims(nil)))
	}
	parts := strings.Split(sign(nil), ".")
	for name, c := range map[string]struct {
		raw    string
		reason token.Reason // "" passes
	}{
		"good":                 {sign(nil), ""},
		"session only":         {sign(map[string]any{"sub": nil}), ""},
		"subject only":         {sign(map[string]any{"sid": nil}), ""},
		"header type JWT":      {withHeader("typ", "JWT"), ""},
		"several audiences":    {sign(map[string]any{"aud": []string{"else", "org-console"}}), ""},
		"neither":              {sign(map[string]any{"sub": nil, "sid": nil}), token.Malformed},
		"nonce":                {sign(map[string]any{"nonce": "n"}), token.Malformed},
		"no events":            {sign(map[string]any{"events": nil}), token.Malformed},
		"other event":          {sign(map[string]any{"events": map[string]any{"x": map[string]any{}}}), token.Malformed},
		"events no object":     {sign(map[string]any{"events": "x"}), token.Malformed},
		"no jti":               {sign(map[string]any{"jti": nil}), token.Malformed},
		"no iat":               {sign(map[string]any{"iat": nil}), token.Malformed},
		"no exp":               {sign(map[string]any{"exp": nil}), token.Malformed},
		"expired":              {sign(map[string]any{"exp": after(-30 * time.Second)}), token.Expired},
		"issued ahead":         {sign(map[string]any{"iat": after(31 * time.Second)}), token.Malformed},
		"lives for ever":       {sign(map[string]any{"exp": after(48 * time.Hour)}), token.Malformed},
		"other audience":       {sign(map[string]any{"aud": "else"}), token.WrongAudience},
		"an access audience":   {sign(map[string]any{"aud": "tenantry-app"}), token.WrongAudience},
		"other issuer":         {sign(map[string]any{"iss": "https://evil.example"}), token.WrongIssuer},
		"an access token":      {b.sign(t, nil), token.Malformed},
		"header type at+jwt":   {withHeader("typ", "at+jwt"), token.WrongType},
		"critical":             {withHeader("crit", []string{"x"}), token.Malformed},
		"alg none":             {withHeader("alg", "none"), token.BadSignature},
		"alg HS256":            {withHeader("alg", "HS256"), token.BadSignature},
		"unknown key":          {withHeader("kid", "else"), token.BadSignature},
		"foreign key":          {signParts(t, otherRSA(), encode(t, head), encode(t, b.logoutClaims(nil))), token.BadSignature},
		"changed":              {parts[0] + "." + encode(t, b.logoutClaims(map[string]any{"sub": "user-2"})) + "." + parts[2], token.BadSignature},
		"unsigned":             {parts[0] + "." + parts[1] + ".", token.BadSignature},
		"two parts":            {parts[0] + "." + parts[1], token.Malformed},
		"empty":                {"", token.Malformed},
		"too long":             {strings.Repeat("a", token.MaxSize+1), token.Malformed},
		"duplicate claim":      {signParts(t, rsaKey(), encode(t, head), "eyJpc3MiOiJhIiwiaXNzIjoiYiJ9"), token.Malformed},
		"claims are no object": {signParts(t, rsaKey(), encode(t, head), "W10"), token.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := b.VerifyLogout(context.Background(), c.raw)
			switch {
			case c.reason == "" && err != nil:
				t.Error(err)
			case c.reason != "" && (err == nil || reasonOf(err) != c.reason):
				t.Errorf("got %+v, %v; want %s", got, err, c.reason)
			}
		})
	}
	if _, err := b.verify(sign(map[string]any{"aud": "tenantry-app", "typ": "Bearer", "azp": "app"})); reasonOf(err) != token.WrongType {
		t.Errorf("a logout token passed for an access token: %v", err)
	}
}
