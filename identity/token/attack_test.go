package token_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"encore.app/identity/token"
)

func reasonOf(err error) token.Reason {
	var refused *token.Error
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return token.Reason(fmt.Sprint(err))
}

// TestAttacks shows every token that must not pass and why it does not.
func TestAttacks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := map[string]any{"alg": "RS256", "kid": "rsa", "typ": "JWT"}
	header := func(changes map[string]any) string {
		h := map[string]any{}
		for name, value := range good {
			h[name] = value
		}
		for name, value := range changes {
			if value == nil {
				delete(h, name)
				continue
			}
			h[name] = value
		}
		return encode(t, h)
	}
	payload := encode(t, b.claims(nil))
	text := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	with := func(changes map[string]any) string { return b.sign(t, changes) }
	withHeader := func(changes map[string]any) string { return signParts(t, rsaKey(), header(changes), payload) }
	withKey := func(key crypto.Signer, changes map[string]any) string {
		return signParts(t, key, header(changes), payload)
	}
	raw := func(claims string) string { return signParts(t, rsaKey(), header(nil), text(claims)) }
	whole := with(nil)
	parts := strings.Split(whole, ".")
	after := func(d time.Duration) int64 { return start.Add(d).Unix() }
	hmacWith := func(secret []byte) string {
		signed := header(map[string]any{"alg": "HS256"}) + "." + payload
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	foreign := published("rsa", "RS256", otherRSA())

	tests := map[string]struct {
		token  string
		reason token.Reason
	}{
		"empty":                        {"", token.Malformed},
		"one part":                     {"abc", token.Malformed},
		"two parts":                    {parts[0] + "." + parts[1], token.Malformed},
		"four parts":                   {whole + ".e30", token.Malformed},
		"encrypted shape":              {whole + ".e30.e30", token.Malformed},
		"only dots":                    {"..", token.Malformed},
		"empty header":                 {"." + parts[1] + "." + parts[2], token.Malformed},
		"empty payload":                {parts[0] + ".." + parts[2], token.Malformed},
		"unsigned":                     {parts[0] + "." + parts[1] + ".", token.BadSignature},
		"truncated signature":          {parts[0] + "." + parts[1] + "." + parts[2][:100], token.BadSignature},
		"spelled another way":          {respell(whole), token.Malformed},
		"truncated payload":            {parts[0] + "." + parts[1][:len(parts[1])-4] + "." + parts[2], token.Malformed},
		"padded base64":                {parts[0] + "=." + parts[1] + "." + parts[2], token.Malformed},
		"standard base64":              {parts[0] + ".++//." + parts[2], token.Malformed},
		"line break":                   {parts[0] + "\n." + parts[1] + "." + parts[2], token.Malformed},
		"leading space":                {" " + whole, token.Malformed},
		"control characters":           {"\x00\x01.\x02.\x03", token.Malformed},
		"JSON serialization":           {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, token.Malformed},
		"too long":                     {with(map[string]any{"name": strings.Repeat("a", token.MaxSize)}), token.Malformed},
		"megabyte":                     {strings.Repeat("a", 1<<20), token.Malformed},
		"deeply nested":                {signParts(t, rsaKey(), header(nil), text(strings.Repeat("[", 4000))), token.Malformed},
		"deeply nested claim":          {raw(`{"a":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`), token.WrongType},
		"header not JSON":              {text("no") + "." + parts[1] + "." + parts[2], token.Malformed},
		"header a list":                {text("[]") + "." + parts[1] + "." + parts[2], token.Malformed},
		"payload not JSON":             {raw("no"), token.Malformed},
		"payload a list":               {raw("[]"), token.Malformed},
		"payload a string":             {raw(`"x"`), token.Malformed},
		"payload null":                 {raw("null"), token.WrongType},
		"payload empty object":         {raw("{}"), token.WrongType},
		"payload with a tail":          {raw(`{} {}`), token.Malformed},
		"duplicate claim":              {raw(`{"sub":"a","sub":"b"}`), token.Malformed},
		"duplicate escaped claim":      {raw(`{"sub":"a","s\u0075b":"b"}`), token.Malformed},
		"duplicate nested claim":       {raw(`{"typ":"Bearer","realm_access":{"roles":[],"roles":["platform_admin"]}}`), token.Malformed},
		"duplicate in unknown claim":   {raw(`{"typ":"Bearer","x":{"a":1,"a":2}}`), token.Malformed},
		"duplicate header":             {text(`{"alg":"RS256","alg":"none","kid":"rsa"}`) + "." + parts[1] + "." + parts[2], token.Malformed},
		"claim in other case":          {with(map[string]any{"sub": nil, "SUB": "user-1"}), token.Malformed},
		"nested token":                 {signParts(t, rsaKey(), header(map[string]any{"cty": "JWT"}), text(whole)), token.Malformed},
		"wrongly typed subject":        {with(map[string]any{"sub": 7}), token.Malformed},
		"wrongly typed audience":       {with(map[string]any{"aud": map[string]any{"tenantry-app": true}}), token.Malformed},
		"wrongly typed expiry":         {with(map[string]any{"exp": "tomorrow"}), token.Malformed},
		"wrongly typed organization":   {with(map[string]any{"organization": 7}), token.Malformed},
		"critical header":              {withHeader(map[string]any{"crit": []string{"exp"}, "exp": 1}), token.Malformed},
		"critical b64":                 {withHeader(map[string]any{"crit": []string{"b64"}, "b64": true}), token.Malformed},
		"empty critical header":        {withHeader(map[string]any{"crit": []string{}}), token.Malformed},
		"alg none":                     {header(map[string]any{"alg": "none"}) + "." + payload + ".", token.BadSignature},
		"alg None":                     {header(map[string]any{"alg": "None"}) + "." + payload + ".", token.BadSignature},
		"alg none with signature":      {withHeader(map[string]any{"alg": "none"}), token.BadSignature},
		"alg missing":                  {withHeader(map[string]any{"alg": nil}), token.BadSignature},
		"alg in lower case":            {withHeader(map[string]any{"alg": "rs256"}), token.BadSignature},
		"alg RS512":                    {withHeader(map[string]any{"alg": "RS512"}), token.BadSignature},
		"alg PS256":                    {withHeader(map[string]any{"alg": "PS256"}), token.BadSignature},
		"alg ES256 for an RSA key":     {withHeader(map[string]any{"alg": "ES256"}), token.BadSignature},
		"HMAC with the public key DER": {hmacWith(der), token.BadSignature},
		"HMAC with the public key PEM": {hmacWith(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), token.BadSignature},
		"HMAC with an empty secret":    {hmacWith(nil), token.BadSignature},
		"foreign key, our kid":         {withKey(otherRSA(), nil), token.BadSignature},
		"foreign key in jwk":           {withKey(otherRSA(), map[string]any{"jwk": foreign}), token.BadSignature},
		"foreign key at jku":           {withKey(otherRSA(), map[string]any{"jku": b.issuer.URL + "/evil", "kid": "evil"}), token.BadSignature},
		"foreign key at x5u":           {withKey(otherRSA(), map[string]any{"x5u": b.issuer.URL + "/evil"}), token.BadSignature},
		"own key in jwk":               {withHeader(map[string]any{"jwk": published("rsa", "RS256", rsaKey())}), token.BadSignature},
		"own key at jku":               {withHeader(map[string]any{"jku": b.issuer.iss() + "/certs"}), token.BadSignature},
		"garbage in x5c":               {withHeader(map[string]any{"x5c": []string{"no"}}), token.BadSignature},
		"unknown kid":                  {withHeader(map[string]any{"kid": "other"}), token.BadSignature},
		"kid path":                     {withHeader(map[string]any{"kid": "../../../../dev/null"}), token.BadSignature},
		"kid SQL":                      {withHeader(map[string]any{"kid": "' OR 1=1 --"}), token.BadSignature},
		"kid a number":                 {withHeader(map[string]any{"kid": 1}), token.Malformed},
		"no kid, foreign key":          {withKey(otherRSA(), map[string]any{"kid": nil}), token.BadSignature},
		"changed payload":              {parts[0] + "." + encode(t, b.claims(map[string]any{"sub": "user-2"})) + "." + parts[2], token.BadSignature},
		"changed header":               {header(map[string]any{"typ": "at+jwt"}) + "." + parts[1] + "." + parts[2], token.BadSignature},
		"ID token":                     {with(map[string]any{"typ": "ID"}), token.WrongType},
		"ID token as issued":           {with(map[string]any{"typ": "ID", "aud": "app", "nonce": "n"}), token.WrongType},
		"refresh token":                {with(map[string]any{"typ": "Refresh"}), token.WrongType},
		"offline token":                {with(map[string]any{"typ": "Offline"}), token.WrongType},
		"logout token":                 {withHeader(map[string]any{"typ": "logout+jwt"}), token.WrongType},
		"type in other case":           {with(map[string]any{"typ": "bearer"}), token.WrongType},
		"no type":                      {with(map[string]any{"typ": nil}), token.WrongType},
		"refresh token with HS512":     {header(map[string]any{"alg": "HS512"}) + "." + encode(t, b.claims(map[string]any{"typ": "Refresh"})) + ".e30", token.WrongType},
		"other issuer":                 {with(map[string]any{"iss": "https://evil.example/realms/tenantry"}), token.WrongIssuer},
		"issuer with a slash":          {with(map[string]any{"iss": b.issuer.iss() + "/"}), token.WrongIssuer},
		"issuer as prefix":             {with(map[string]any{"iss": b.issuer.iss() + ".evil.example"}), token.WrongIssuer},
		"no issuer":                    {with(map[string]any{"iss": nil}), token.WrongIssuer},
		"other audience":               {with(map[string]any{"aud": "account"}), token.WrongAudience},
		"client as audience":           {with(map[string]any{"aud": "app"}), token.WrongAudience},
		"no audience":                  {with(map[string]any{"aud": nil}), token.WrongAudience},
		"empty audience":               {with(map[string]any{"aud": []string{}}), token.WrongAudience},
		"two of ours, client of none":  {with(map[string]any{"aud": []string{"tenantry-app", "tenantry-org"}, "azp": "admin-console"}), token.WrongAudience},
		"two of ours, no client":       {with(map[string]any{"aud": []string{"tenantry-app", "tenantry-org"}, "azp": nil}), token.WrongAudience},
		"no subject":                   {with(map[string]any{"sub": nil}), token.Malformed},
		"empty subject":                {with(map[string]any{"sub": ""}), token.Malformed},
		"no expiry":                    {with(map[string]any{"exp": nil}), token.Malformed},
		"no issue time":                {with(map[string]any{"iat": nil}), token.Malformed},
		"lives too long":               {with(map[string]any{"exp": after(token.MaxLifetime + time.Minute)}), token.Malformed},
		"invalid UTF-8":                {raw("{\"sub\":\"\xff\"}"), token.Malformed},
		"negative expiry":              {with(map[string]any{"exp": -1}), token.Malformed},
		"endless expiry":               {with(map[string]any{"exp": 1e300}), token.Malformed},
		"expired 30 s ago":             {with(map[string]any{"exp": after(-30 * time.Second)}), token.Expired},
		"expired an hour ago":          {with(map[string]any{"exp": after(-time.Hour)}), token.Expired},
		"issued 31 s ahead":            {with(map[string]any{"iat": after(31 * time.Second)}), token.Malformed},
		"valid in 31 s":                {with(map[string]any{"nbf": after(31 * time.Second)}), token.Malformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims, err := b.verify(test.token)
			if err == nil {
				t.Fatalf("passed: %+v", claims)
			}
			if got := reasonOf(err); got != test.reason {
				t.Errorf("refused with %s (%v), want %s", got, err, test.reason)
			}
			if len(test.token) > 20 && strings.Contains(err.Error(), test.token[:20]) {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
	// The address in a header must never be asked.
	t.Cleanup(func() {
		if n := b.issuer.fetches(); n > 2 {
			t.Errorf("%d key fetches; want the first and at most one for unknown keys", n)
		}
	})
}

// respell changes only the unused bits of the last character: a lax decoder sees the same token.
func respell(raw string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, raw[len(raw)-1])
	return raw[:len(raw)-1] + alphabet[last^1:][:1]
}

// TestEdges shows what is just good enough.
func TestEdges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	after := func(d time.Duration) int64 { return start.Add(d).Unix() }
	payload := encode(t, b.claims(nil))
	tests := map[string]string{
		"expired 29 s ago":       b.sign(t, map[string]any{"exp": after(-29 * time.Second)}),
		"issued 30 s ahead":      b.sign(t, map[string]any{"iat": after(30 * time.Second)}),
		"valid in 30 s":          b.sign(t, map[string]any{"nbf": after(30 * time.Second)}),
		"fraction of a second":   b.sign(t, map[string]any{"exp": float64(after(time.Minute)) + 0.5}),
		"audience in a list":     b.sign(t, map[string]any{"aud": []string{"account", "tenantry-app"}}),
		"header type at+jwt":     signParts(t, rsaKey(), encode(t, map[string]any{"alg": "RS256", "kid": "rsa", "typ": "at+jwt"}), payload),
		"header type in capital": signParts(t, rsaKey(), encode(t, map[string]any{"alg": "RS256", "kid": "rsa", "typ": "AT+JWT"}), payload),
		"no header type":         signParts(t, rsaKey(), encode(t, map[string]any{"alg": "RS256", "kid": "rsa"}), payload),
		"no kid":                 signParts(t, rsaKey(), encode(t, map[string]any{"alg": "RS256"}), payload),
		"other client, one aud":  b.sign(t, map[string]any{"azp": "batch"}),
		"odd acr and amr":        b.sign(t, map[string]any{"acr": 2, "amr": "pwd", "auth_time": "now", "email_verified": "true"}),
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := b.verify(raw); err != nil {
				t.Error(err)
			}
		})
	}
}
