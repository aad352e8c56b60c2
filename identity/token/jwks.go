package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	maxDocument = 256 << 10 // bytes of a discovery or key document
	minRSABits  = 2048
)

// publicKey is one signing key of the issuer, for the one algorithm that fits it.
type publicKey struct {
	id, alg string
	key     crypto.PublicKey
	set     oidc.StaticKeySet // the same for go-oidc
}

// verifies says whether signature is this key's over signed, by the key's one algorithm.
func (k *publicKey) verifies(signed, signature []byte) bool {
	if key, ok := k.key.(ed25519.PublicKey); ok {
		return ed25519.Verify(key, signed, signature)
	}
	sum := sha256.Sum256(signed)
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	case *ecdsa.PublicKey: // two 32-byte numbers (RFC 7518 §3.4)
		if len(signature) != 64 {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(key, sum[:], r, s)
	}
	return false
}

// keyRing is the outcome of one fetch; it never changes.
type keyRing struct {
	keys    []*publicKey
	fetched time.Time
}

func (r *keyRing) find(kid, alg string) (found []*publicKey) {
	for _, key := range r.keys {
		if key.alg == alg && (kid == "" || key.id == kid) {
			found = append(found, key)
		}
	}
	return found
}

func (r *keyRing) has(kid string) bool {
	for _, key := range r.keys {
		if key.id == kid {
			return true
		}
	}
	return false
}

// without tells which keys of r the next ring lacks; nil if it has them all.
func (r *keyRing) without(next *keyRing) func(*publicKey) bool {
	if r == nil {
		return nil
	}
	stays := func(old *publicKey) bool {
		for _, key := range next.keys {
			if same, ok := key.key.(interface{ Equal(crypto.PublicKey) bool }); ok && key.id == old.id && same.Equal(old.key) {
				return true
			}
		}
		return false
	}
	for _, key := range r.keys {
		if !stays(key) {
			return func(old *publicKey) bool { return !stays(old) }
		}
	}
	return nil
}

// download gets the keys from where discovery says they are.
func (k *keySet) download(ctx context.Context) (*keyRing, error) {
	address := k.jwksURL.Load()
	if address == nil {
		found, err := k.discover(ctx)
		if err != nil {
			return nil, err
		}
		address = &found
		k.jwksURL.Store(address)
	}
	raw, err := k.get(ctx, *address)
	if err != nil {
		k.jwksURL.Store(nil) // it may have moved
		return nil, err
	}
	keys, err := parseKeys(raw)
	if err != nil {
		return nil, err
	}
	return &keyRing{keys: keys, fetched: k.now()}, nil
}

// discover reads where the keys are and makes sure that the issuer is the right one.
func (k *keySet) discover(ctx context.Context) (string, error) {
	raw, err := k.get(ctx, k.base+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		return "", errors.New("discovery document is not JSON")
	}
	if document.Issuer != k.issuer {
		return "", errors.New("discovery document is of another issuer")
	}
	address := document.JWKSURI
	// A Keycloak without a dynamic back channel names only public addresses.
	if rest, public := strings.CutPrefix(address, strings.TrimSuffix(k.issuer, "/")+"/"); public {
		address = k.base + "/" + rest
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http" {
		return "", errors.New("discovery document has no usable jwks_uri")
	}
	// Keys that anybody on the way could replace would undo what the first request was protected by.
	if strings.HasPrefix(k.base, "https:") && parsed.Scheme != "https" {
		return "", errors.New("discovery document leads from https to http")
	}
	return address, nil
}

func (k *keySet) get(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := k.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("issuer answered %d", response.StatusCode)
	case len(raw) > maxDocument:
		return nil, errors.New("issuer's document is too long")
	}
	return raw, nil
}

// parseKeys takes the keys we can use and leaves out the others, such as Keycloak's
// encryption key or a kind that is not known here.
func parseKeys(raw []byte) ([]*publicKey, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		return nil, errors.New("key document is not JSON")
	}
	var keys []*publicKey
	for _, one := range document.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(one, &key) != nil || key.Use != "" && key.Use != "sig" {
			continue
		}
		if alg := algorithmOf(key.Key); alg != "" && (key.Algorithm == "" || key.Algorithm == alg) {
			keys = append(keys, &publicKey{
				id: key.KeyID, alg: alg, key: key.Key,
				set: oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{key.Key}},
			})
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("key document has no usable signing key")
	}
	return keys, nil
}

// algorithmOf is the one algorithm we accept for a key, "" for none.
func algorithmOf(key any) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() >= minRSABits {
			return oidc.RS256
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return oidc.ES256
		}
	case ed25519.PublicKey:
		return oidc.EdDSA
	}
	return ""
}
