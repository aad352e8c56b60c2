package sink

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
)

// Sealer keeps secrets unreadable in the database. The zero Sealer, of an installation without a key,
// keeps them as they are.
type Sealer struct{ aead cipher.AEAD }

// The first byte says how a secret is kept.
const (
	plain  = 0
	sealed = 1
)

// NewSealer seals under a key that is derived from passphrase; with "" it seals nothing.
func NewSealer(passphrase string) (Sealer, error) {
	if passphrase == "" {
		return Sealer{}, nil
	}
	if len(passphrase) < 32 {
		return Sealer{}, errors.New("sink: SINK_SECRETS_KEY must have at least 32 characters, best made at random")
	}
	key := sha256.Sum256([]byte("tenantry sink secrets\x00" + passphrase))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return Sealer{}, err
	}
	aead, err := cipher.NewGCM(block)
	return Sealer{aead: aead}, err
}

// Seal hides secret, bound to the sink of that id: it opens nowhere else.
func (s Sealer) Seal(id string, secret []byte) []byte {
	if s.aead == nil {
		return append([]byte{plain}, secret...)
	}
	nonce := make([]byte, s.aead.NonceSize())
	rand.Read(nonce)
	return s.aead.Seal(append([]byte{sealed}, nonce...), nonce, secret, []byte(id))
}

var errSealed = errors.New("sink: a secret cannot be read: SINK_SECRETS_KEY is not the one that it was kept under")

// Open gives a secret back.
func (s Sealer) Open(id string, kept []byte) ([]byte, error) {
	if len(kept) > 0 && kept[0] == plain {
		return kept[1:], nil
	}
	if s.aead == nil || len(kept) < 1+s.aead.NonceSize() {
		return nil, errSealed
	}
	nonce, text := kept[1:1+s.aead.NonceSize()], kept[1+s.aead.NonceSize():]
	secret, err := s.aead.Open(nil, nonce, text, []byte(id))
	if err != nil {
		return nil, errSealed
	}
	return secret, nil
}
