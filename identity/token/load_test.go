package token_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"encore.app/identity/token"
)

// flood is n bad tokens of every kind that a verifier tells apart.
func flood(t *testing.T, b *bench, n int) []string {
	t.Helper()
	payload := encode(t, b.claims(nil))
	good := strings.Split(b.sign(t, nil), ".")
	text := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	kinds := []func(i int) string{
		func(i int) string { // a key id that nobody has
			return encode(t, map[string]any{"alg": "RS256", "kid": fmt.Sprint("kid-", i)}) + "." + payload + "." + good[2]
		},
		func(i int) string { // the right key, somebody else's claims
			return good[0] + "." + encode(t, b.claims(map[string]any{"sub": fmt.Sprint(i)})) + "." + good[2]
		},
		func(i int) string { return good[0] + "." + payload + "." + text(fmt.Sprint(i)) },
		func(i int) string { // its own key server
			return encode(t, map[string]any{"alg": "RS256", "kid": fmt.Sprint(i), "jku": b.issuer.URL + "/evil"}) + "." + payload + "." + good[2]
		},
		func(i int) string { return text(`{"alg":"none"}`) + "." + payload + "." },
		func(i int) string {
			return text(`{"alg":"HS256","kid":"rsa"}`) + "." + payload + "." + text(fmt.Sprint(i))
		},
		func(i int) string {
			return good[0] + "." + encode(t, b.claims(map[string]any{"aud": fmt.Sprint(i)})) + "." + good[2]
		},
		func(i int) string {
			return good[0] + "." + encode(t, b.claims(map[string]any{"iss": fmt.Sprint(i)})) + "." + good[2]
		},
		func(i int) string {
			return good[0] + "." + encode(t, b.claims(map[string]any{"exp": i})) + "." + good[2]
		},
		func(i int) string {
			return good[0] + "." + encode(t, b.claims(map[string]any{"typ": "ID", "jti": i})) + "." + good[2]
		},
		func(i int) string { return strings.Repeat("x", i%(token.MaxSize+100)) },
		func(i int) string { return text(fmt.Sprint(i)) + "." + text(fmt.Sprint(i)) + "." + text(fmt.Sprint(i)) },
	}
	out := make([]string, n)
	for i := range out {
		out[i] = kinds[i%len(kinds)](i)
	}
	return out
}

// TestGoodTokensPassThroughAFlood: 10 000 bad tokens at full speed cost one key fetch, all are refused
// with a reason, and new good tokens pass all the while.
func TestGoodTokensPassThroughAFlood(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.verify(b.sign(t, nil)); err != nil {
		t.Fatal(err)
	}
	bad := flood(t, b, 10_000)
	good := make([]string, 200)
	for i := range good {
		good[i] = b.sign(t, map[string]any{"jti": fmt.Sprint(i)})
	}
	var work sync.WaitGroup
	var next atomic.Int64
	for range 8 {
		work.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(bad)); i = next.Add(1) - 1 {
				_, err := b.verify(bad[i])
				switch reasonOf(err) {
				case token.Malformed, token.WrongType, token.BadSignature, token.WrongIssuer, token.WrongAudience, token.Expired:
				default:
					t.Errorf("bad token %d: %v", i, err)
				}
			}
		})
	}
	for range 2 {
		work.Go(func() {
			for _, raw := range good {
				if _, err := b.verify(raw); err != nil {
					t.Errorf("a good token in the flood: %v", err)
				}
			}
		})
	}
	work.Wait()
	if n := b.issuer.fetches(); n != 2 {
		t.Errorf("%d key fetches, want the first and one for %d bad tokens", n, len(bad))
	}
}

// TestRotationUnderLoad: the issuer signs with a new key as soon as it publishes it, beside tokens of
// the old one that are still good. None of either is refused.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	b := setup(t)
	nextHeader := encode(t, map[string]any{"alg": "RS256", "kid": "next"})
	const each = 100
	var before, after [each]string
	for i := range each {
		claims := map[string]any{"jti": fmt.Sprint(i)}
		before[i] = b.sign(t, claims)
		after[i] = signParts(t, otherRSA(), nextHeader, encode(t, b.claims(claims)))
	}
	var rotated atomic.Bool
	half := make(chan struct{})
	var work sync.WaitGroup
	for w := range 4 {
		work.Go(func() {
			for i := range each {
				if w == 0 && i == each/2 {
					b.issuer.set(func(f *fakeIssuer) { f.keys = append(f.keys, published("next", "RS256", otherRSA())) })
					rotated.Store(true)
					close(half)
				}
				if _, err := b.verify(before[i]); err != nil {
					t.Errorf("the old key, rotated %v: %v", rotated.Load(), err)
				}
			}
		})
		work.Go(func() {
			<-half
			for i := range each {
				if _, err := b.verify(after[i]); err != nil {
					t.Errorf("the new key: %v", err)
				}
			}
		})
	}
	work.Wait()
	if n := b.issuer.fetches(); n != 2 {
		t.Errorf("%d key fetches, want the first and one for the new key", n)
	}
}
