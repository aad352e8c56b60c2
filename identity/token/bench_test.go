package token_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"encore.app/identity/token"
)

// BenchmarkVerify measures a token that is remembered, one that is new, and garbage, each beside the
// bare RSA verification in the same iteration, so that a busy machine slows both. The bare one hashes
// the text and verifies the signature with a parsed key: less cannot be done for a new token.
//
// The metric is the ratio of the medians: price of the thing over price of the bare verification.
func BenchmarkVerify(b *testing.B) {
	v := setup(b)
	raw := v.sign(b, map[string]any{
		"realm_access": map[string]any{"roles": []string{"platform_admin", "offline_access"}},
		"email":        "ada@acme.test", "email_verified": true, "name": "Ada", "preferred_username": "ada@acme.test",
		"organization": []string{"acme"}, "auth_time": start.Unix(), "amr": []string{"pwd", "otp"},
	})
	junk := make([]byte, 600)
	rand.Read(junk)
	garbage := base64.RawURLEncoding.EncodeToString(junk)
	forged := raw[:len(raw)-4] + "AAAA"

	dot := strings.LastIndexByte(raw, '.')
	signature, err := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
	signed, key := []byte(raw[:dot]), rsaKey().Public().(*rsa.PublicKey)
	bare := func() {
		sum := sha256.Sum256(signed)
		if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
			b.Fatal(err)
		}
	}
	ctx := context.Background()
	for _, c := range []struct {
		name, raw string
		forget    bool
		passes    bool
	}{
		{"new", raw, true, true},
		{"remembered", raw, false, true},
		{"forged", forged, false, false},
		{"garbage", garbage, false, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			var floor, took []time.Duration
			for b.Loop() {
				if c.forget {
					v.Revoke(func(*token.Claims) bool { return true })
				}
				begun := time.Now()
				bare()
				between := time.Now()
				_, err := v.Verify(ctx, c.raw)
				took, floor = append(took, time.Since(between)), append(floor, between.Sub(begun))
				if (err == nil) != c.passes {
					b.Fatal(err)
				}
			}
			b.ReportMetric(0, "ns/op") // of both together: says nothing
			b.ReportMetric(float64(median(took))/float64(median(floor)), "×RSA")
			b.ReportMetric(float64(median(took)), "ns/token")
		})
	}
}

func median(of []time.Duration) time.Duration {
	slices.Sort(of)
	return of[len(of)/2]
}

// What a new token costs beside its signature is bounded: a generous bound, because it is a test.
func TestANewTokenCostsLittleMoreThanItsSignature(t *testing.T) {
	b := setup(t)
	raw := b.sign(t, nil)
	allocations := testing.AllocsPerRun(200, func() {
		b.Revoke(func(*token.Claims) bool { return true })
		if _, err := b.verify(raw); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 60 {
		t.Errorf("%.0f allocations for a new token", allocations)
	}
	if _, err := b.verify(raw); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(200, func() { b.verify(raw) }); n > 0 {
		t.Errorf("%.0f allocations for a remembered token", n)
	}
}
