package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"encore.app/identity/token"
)

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ec, ed := newEC(), newEd()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	enc := published("enc", "RS256", otherRSA())
	enc.Use = "enc"
	b.issuer.set(func(f *fakeIssuer) {
		f.keys = []jose.JSONWebKey{
			published("ec", "ES256", ec), published("ed", "EdDSA", ed), published("small", "RS256", small),
			published("p384", "ES384", p384), enc, {Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "oct", Algorithm: "HS256", Use: "sig"},
			published("other-alg", "RS512", rsaKey()),
		}
	})
	payload := encode(t, b.claims(nil))
	header := func(alg, kid string) string { return encode(t, map[string]any{"alg": alg, "kid": kid}) }
	for name, test := range map[string]struct {
		raw  string
		good bool
	}{
		"ES256":                  {signParts(t, ec, header("ES256", "ec"), payload), true},
		"EdDSA":                  {signParts(t, ed, header("EdDSA", "ed"), payload), true},
		"ES256 without kid":      {signParts(t, ec, encode(t, map[string]any{"alg": "ES256"}), payload), true},
		"EdDSA under ec's kid":   {signParts(t, ed, header("EdDSA", "ec"), payload), false},
		"1024-bit RSA":           {signParts(t, small, header("RS256", "small"), payload), false},
		"encryption key":         {signParts(t, otherRSA(), header("RS256", "enc"), payload), false},
		"key of another alg":     {signParts(t, rsaKey(), header("RS256", "other-alg"), payload), false},
		"shared secret as RS256": {signParts(t, rsaKey(), header("RS256", "oct"), payload), false},
	} {
		claims, err := b.verify(test.raw)
		if test.good && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !test.good && reasonOf(err) != token.BadSignature {
			t.Errorf("%s: %+v, %v; want %s", name, claims, err, token.BadSignature)
		}
	}
}

func TestBadDocuments(t *testing.T) {
	t.Parallel()
	keys := func(f func(w http.ResponseWriter)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/certs") {
				f(w)
				return
			}
			fmt.Fprintf(w, `{"issuer":"http://%s","jwks_uri":"http://%s/certs"}`, r.Host, r.Host)
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"endless keys": keys(func(w http.ResponseWriter) { w.Write([]byte(`{"keys":[` + strings.Repeat(" ", 300<<10) + `]}`)) }),
		"no keys":      keys(func(w http.ResponseWriter) { w.Write([]byte(`{"keys":[]}`)) }),
		"not JSON":     keys(func(w http.ResponseWriter) { w.Write([]byte(`<html>`)) }),
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/certs"):
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			case r.URL.Path == "/elsewhere": // keys that would do
				json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{published("rsa", "RS256", rsaKey())}})
			default:
				fmt.Fprintf(w, `{"issuer":"http://%s","jwks_uri":"http://%s/certs"}`, r.Host, r.Host)
			}
		},
		"other issuer": func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/certs") { // keys that would do
				json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{published("rsa", "RS256", rsaKey())}})
				return
			}
			fmt.Fprintf(w, `{"issuer":"https://evil.example","jwks_uri":"http://%s/certs"}`, r.Host)
		},
		"file jwks_uri": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"issuer":"http://%s","jwks_uri":"file:///etc/passwd"}`, r.Host)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(handler)
			t.Cleanup(server.Close)
			v, err := token.New(token.Config{Issuer: server.URL, Audiences: audiences})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(v.Close)
			if err := v.Health(t.Context()); reasonOf(err) != token.KeysUnavailable {
				t.Errorf("got %v, want %s", err, token.KeysUnavailable)
			}
		})
	}
}

// Keys of an issuer behind TLS are not fetched in the clear, where anybody could replace them.
func TestKeysStayBehindTLS(t *testing.T) {
	t.Parallel()
	for name, inTheClear := range map[string]bool{"behind TLS": false, "in the clear": true} {
		certs := func(w http.ResponseWriter, _ *http.Request) {
			json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{published("rsa", "RS256", rsaKey())}})
		}
		plain := httptest.NewServer(http.HandlerFunc(certs))
		t.Cleanup(plain.Close)
		mux := http.NewServeMux()
		server := httptest.NewTLSServer(mux)
		t.Cleanup(server.Close)
		at := server.URL
		if inTheClear {
			at = plain.URL
		}
		mux.HandleFunc("/certs", certs)
		mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"%s/certs"}`, server.URL, at)
		})
		v, err := token.New(token.Config{Issuer: server.URL, Audiences: audiences, HTTPClient: server.Client()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		if err := v.Health(t.Context()); (err != nil) != inTheClear {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInternalURL: iss is the public address, the back channel another one, given whole
// or as its origin, and discovery still names public addresses.
func TestInternalURL(t *testing.T) {
	t.Parallel()
	const public = "https://id.example/realms/tenantry"
	for _, path := range []string{"", "/", "/realms/tenantry", "/realms/tenantry/"} {
		b := setup(t)
		b.issuer.set(func(f *fakeIssuer) { f.issuer = public })
		v, err := token.New(token.Config{Issuer: public, InternalURL: b.issuer.URL + path, Audiences: audiences, Now: b.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		if _, err := v.Verify(t.Context(), b.sign(t, map[string]any{"iss": public})); err != nil {
			t.Errorf("internal URL with path %q: %v", path, err)
		}
	}
}
