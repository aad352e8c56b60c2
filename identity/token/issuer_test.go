package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"encore.app/identity/token"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

var audiences = map[string]string{"tenantry-admin": "admin-console", "tenantry-org": "org-console", "tenantry-app": "app"}

// Making RSA keys is slow, so the tests share a few.
var (
	rsaKey   = sync.OnceValue(newRSA)
	otherRSA = sync.OnceValue(newRSA)
)

func newRSA() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// fakeIssuer publishes whatever keys a test wants and counts who asks.
type fakeIssuer struct {
	*httptest.Server
	mu         sync.Mutex
	keys       []jose.JSONWebKey
	down       bool
	hold       chan struct{} // closed to let key requests go on
	issuer     string        // in the discovery document; "" is the right one
	certs      int
	discovered int
}

func newFakeIssuer(tb testing.TB, keys ...jose.JSONWebKey) *fakeIssuer {
	f := &fakeIssuer{keys: keys}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	tb.Cleanup(f.Close)
	return f
}

func (f *fakeIssuer) iss() string { return f.URL + "/realms/tenantry" }

func (f *fakeIssuer) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch r.URL.Path {
	case "/realms/tenantry/.well-known/openid-configuration":
		f.discovered++
		if f.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		iss := f.issuer
		if iss == "" {
			iss = f.iss()
		}
		json.NewEncoder(w).Encode(map[string]string{"issuer": iss, "jwks_uri": iss + "/certs"})
	case "/realms/tenantry/certs":
		f.certs++
		if f.hold != nil {
			hold := f.hold
			f.mu.Unlock()
			<-hold
			f.mu.Lock()
		}
		if f.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: f.keys})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (f *fakeIssuer) set(change func(*fakeIssuer)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeIssuer) fetches() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.certs
}

func published(kid, alg string, key crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: kid, Algorithm: alg, Use: "sig"}
}

// clock is a time that only tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bench is a verifier, its issuer and its clock.
type bench struct {
	*token.Verifier
	issuer *fakeIssuer
	clock  *clock
}

func setup(tb testing.TB, change ...func(*token.Config)) *bench {
	tb.Helper()
	f := newFakeIssuer(tb, published("rsa", "RS256", rsaKey()))
	c := &clock{now: start}
	config := token.Config{Issuer: f.iss(), Audiences: audiences, Now: c.Now}
	for _, f := range change {
		f(&config)
	}
	v, err := token.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(v.Close)
	return &bench{Verifier: v, issuer: f, clock: c}
}

// claims is a good payload with changes; a nil value removes a claim.
func (b *bench) claims(changes map[string]any) map[string]any {
	now := b.clock.Now()
	claims := map[string]any{
		"iss": b.issuer.iss(), "aud": "tenantry-app", "sub": "user-1", "typ": "Bearer", "azp": "app",
		"exp": now.Add(5 * time.Minute).Unix(), "iat": now.Unix(), "jti": "token-1", "sid": "session-1", "acr": "1",
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

func encode(tb testing.TB, v any) string {
	tb.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// signParts signs a header and a payload just as they are given.
func signParts(tb testing.TB, key crypto.Signer, header, payload string) string {
	tb.Helper()
	text := header + "." + payload
	var signature []byte
	var err error
	switch key := key.(type) {
	case ed25519.PrivateKey:
		signature = ed25519.Sign(key, []byte(text))
	case *rsa.PrivateKey:
		sum := crypto.SHA256.New()
		sum.Write([]byte(text))
		signature, err = key.Sign(rand.Reader, sum.Sum(nil), crypto.SHA256)
	case *ecdsa.PrivateKey:
		sum := crypto.SHA256.New()
		sum.Write([]byte(text))
		r, s, signErr := ecdsa.Sign(rand.Reader, key, sum.Sum(nil))
		if err = signErr; err == nil {
			signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// sign is a token that differs from a good one only by the changes.
func (b *bench) sign(tb testing.TB, changes map[string]any) string {
	tb.Helper()
	return signParts(tb, rsaKey(), encode(tb, map[string]any{"alg": "RS256", "kid": "rsa", "typ": "JWT"}), encode(tb, b.claims(changes)))
}

func (b *bench) verify(raw string) (*token.Claims, error) {
	return b.Verify(context.Background(), raw)
}

func newEC() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func newEd() crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}
