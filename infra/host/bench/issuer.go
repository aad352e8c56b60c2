package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"
)

// issuer publishes the key that the benchmark's token is signed with.
type issuer struct {
	url    string
	key    *rsa.PrivateKey
	server http.Server
	done   chan error // gets what serving ended with
}

func newIssuer() (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	i := &issuer{url: "http://" + l.Addr().String(), key: key, server: http.Server{Handler: mux}, done: make(chan error, 1)}
	serve := func(path string, document any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(document) // a verifier that does not get it says so
		})
	}
	serve("/.well-known/openid-configuration", map[string]string{"issuer": i.url, "jwks_uri": i.url + "/certs"})
	serve("/certs", map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "kid": "bench", "alg": "RS256", "use": "sig", "e": "AQAB", // 65537
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
	}}})
	go func() { i.done <- i.server.Serve(l) }()
	return i, nil
}

// close ends the issuer and waits for it.
func (i *issuer) close() error {
	err := i.server.Close()
	if served := <-i.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// token is an access token of the kind and size that Keycloak gives out.
func (i *issuer) token() (string, error) {
	now := time.Now().Unix()
	header, err := part(map[string]string{"alg": "RS256", "typ": "JWT", "kid": "bench"})
	if err != nil {
		return "", err
	}
	payload, err := part(map[string]any{
		"typ": "Bearer", "iss": i.url, "aud": []string{"read", "account"}, "azp": "reader",
		"iat": now, "exp": now + 3600, "auth_time": now, "jti": "onrtac:6f0c1d5e-9d4d-4b5e-8f0e-0c6d8f6f0a11",
		"sub": "0192f0c1-7a5e-7cc3-9a34-5d1f0f4b7a10", "sid": "5b1f6b0e-3c0a-4a44-9a0d-0f6f3f1a2b3c",
		"acr": "1", "scope": "openid profile email", "realm_access": map[string]any{"roles": []string{"member", "offline_access"}},
		"name": "Ada Reader", "preferred_username": "ada@acme.test", "email": "ada@acme.test", "email_verified": true,
	})
	if err != nil {
		return "", err
	}
	signed := header + "." + payload
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, i.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func part(v any) (string, error) {
	data, err := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(data), err
}
