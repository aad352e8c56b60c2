package issuer

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// keysPublished is how many signing keys are published: the active one and those before it.
const keysPublished = 3

// keyStore holds the signing keys, newest first, and the secret of refresh tokens.
type keyStore struct {
	file string

	mu     sync.RWMutex
	signed []jose.JSONWebKey // RSA private keys
	secret jose.JSONWebKey   // HS512
}

// openKeys reads the keys of file, or makes new ones and writes them there.
func openKeys(file string) (*keyStore, error) {
	s := &keyStore{file: file}
	if file != "" {
		raw, err := os.ReadFile(file)
		switch {
		case err == nil:
			return s, s.decode(raw)
		case !errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("issuer: %w", err)
		}
	}
	secret := make([]byte, 64)
	rand.Read(secret) // never fails
	s.secret = jose.JSONWebKey{Key: secret, KeyID: randomID(), Algorithm: string(jose.HS512), Use: "sig"}
	return s, s.rotate()
}

func (s *keyStore) decode(raw []byte) error {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil {
		return fmt.Errorf("issuer: key file %s: %w", s.file, err)
	}
	for _, key := range set.Keys {
		switch key.Key.(type) {
		case *rsa.PrivateKey:
			s.signed = append(s.signed, key)
		case []byte:
			s.secret = key
		}
	}
	if len(s.signed) == 0 || s.secret.Key == nil {
		return fmt.Errorf("issuer: key file %s lacks a key", s.file)
	}
	return nil
}

func (s *keyStore) rotate() error {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	key := jose.JSONWebKey{Key: private, KeyID: randomID(), Algorithm: string(jose.RS256), Use: "sig"}
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := append([]jose.JSONWebKey{key}, s.signed...)
	keys = keys[:min(len(keys), keysPublished)]
	if err := s.save(keys); err != nil {
		return err
	}
	s.signed = keys
	return nil
}

// save replaces the key file in one step, so that a crash leaves the old or the new one.
func (s *keyStore) save(keys []jose.JSONWebKey) error {
	if s.file == "" {
		return nil
	}
	raw, err := json.Marshal(jose.JSONWebKeySet{Keys: append(keys[:len(keys):len(keys)], s.secret)})
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(s.file), 0o700); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	next := s.file + ".next"
	if err := os.WriteFile(next, raw, 0o600); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if err := os.Rename(next, s.file); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	return nil
}

// public is what the certs endpoint shows.
func (s *keyStore) public() jose.JSONWebKeySet {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var set jose.JSONWebKeySet
	for _, key := range s.signed {
		set.Keys = append(set.Keys, key.Public())
	}
	return set
}

// sign makes a JWT of claims with the active key, or with the refresh secret.
func (s *keyStore) sign(refresh bool, headerType string, claims map[string]any) (string, error) {
	s.mu.RLock()
	key := s.signed[0]
	s.mu.RUnlock()
	if refresh {
		key = s.secret
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key},
		(&jose.SignerOptions{}).WithType(jose.ContentType(headerType)))
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// open verifies the signature of a token of ours and decodes it into claims.
func (s *keyStore) open(raw string, refresh bool, claims any) error {
	algorithm, keys := jose.RS256, any(s.public())
	if refresh {
		algorithm, keys = jose.HS512, s.secret.Key
	}
	signed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return err
	}
	payload, err := signed.Verify(keys)
	if err != nil {
		return err
	}
	return json.Unmarshal(payload, claims)
}

// randomID is a fresh unguessable name of 256 bits.
func randomID() string {
	raw := make([]byte, 32)
	rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)
}
