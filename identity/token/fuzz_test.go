package token_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"encore.app/identity/token"
)

// FuzzVerify: whatever arrives, only a token that we signed passes, nothing panics,
// and a refusal always has a reason.
func FuzzVerify(f *testing.F) {
	b := setup(f)
	good := b.sign(f, nil)
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add("")
	f.Add("..")
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add(parts[0] + ".e30." + parts[2])
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".")
	f.Add(b.sign(f, map[string]any{"organization": map[string]any{"acme": map[string]any{"id": "1"}}}))
	f.Fuzz(func(t *testing.T, raw string) {
		claims, err := b.Verify(context.Background(), raw)
		switch {
		case err == nil:
			if claims.Subject == "" || !strings.HasPrefix(raw, parts[0]+".") {
				t.Errorf("passed: %q", raw)
			}
		case claims != nil:
			t.Error("claims beside an error")
		case !strings.HasPrefix(string(reasonOf(err)), "token_") && !strings.HasPrefix(string(reasonOf(err)), "wrong_") && reasonOf(err) != token.BadSignature:
			t.Errorf("reason %q", reasonOf(err))
		}
	})
}

// BenchmarkVerify prints the price of a remembered and of a new token beside the bare
// RSA verification, which is the floor of the latter.
func BenchmarkVerify(b *testing.B) {
	v := setup(b)
	raw := v.sign(b, map[string]any{"realm_access": map[string]any{"roles": []string{"platform_admin"}}, "email": "ada@acme.test", "name": "Ada", "preferred_username": "ada@acme.test"})
	dot := strings.LastIndex(raw, ".")
	signature, err := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	if _, err := v.Verify(ctx, raw); err != nil {
		b.Fatal(err)
	}
	b.Run("warm", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(ctx, raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v.Revoke(func(*token.Claims) bool { return true })
			if _, err := v.Verify(ctx, raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("rsa", func(b *testing.B) {
		key := rsaKey().Public().(*rsa.PublicKey)
		for b.Loop() {
			sum := sha256.Sum256([]byte(raw[:dot]))
			if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("garbage", func(b *testing.B) {
		junk := make([]byte, 600)
		rand.Read(junk)
		text := base64.RawURLEncoding.EncodeToString(junk)
		for b.Loop() {
			if _, err := v.Verify(ctx, text); err == nil {
				b.Fatal("passed")
			}
		}
	})
}
