package ledger

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// KeyName is the name that checkpoints are signed under, whichever log they are of.
const KeyName = "tenantry/audit"

// ed25519Key is the note format's number for Ed25519.
const ed25519Key = 1

// Keys sign checkpoints and say who else did.
type Keys struct {
	signers []note.Signer
	public  []PublicKey
}

// PublicKey is a key that checkpoints may be verified with.
type PublicKey struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
	PublicKey string `json:"public_key"` // standard base64
	VKey      string `json:"vkey"`       // in the note format: name+hash+base64
	Status    string `json:"status"`     // active: signs now; retired: has signed
}

// GenerateKey makes a signing key.
func GenerateKey() (string, error) {
	signer, _, err := note.GenerateKey(rand.Reader, KeyName)
	return signer, err
}

// ParseKeys reads signing keys, all of which sign, and verifier keys that signed once. Each list is
// separated by white space or commas. To rotate: add the new key before the old one, later move the
// old one's verifier key to the retired.
func ParseKeys(signing, retired string) (*Keys, error) {
	k := new(Keys)
	for _, text := range fields(signing) {
		signer, err := note.NewSigner(text)
		if err != nil { // the text is a secret
			return nil, errors.New("ledger: a signing key is malformed")
		}
		verifier, err := verifierOf(signer.Name(), text)
		if err != nil {
			return nil, err
		}
		k.signers = append(k.signers, signer)
		if err := k.add(verifier, "active"); err != nil {
			return nil, err
		}
	}
	if len(k.signers) == 0 {
		return nil, errors.New("ledger: there is no signing key")
	}
	for _, verifier := range fields(retired) {
		if err := k.add(verifier, "retired"); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' || r == '\r' })
}

// verifierOf is the verifier key that belongs to a signing key: PRIVATE+KEY+name+hash+base64.
func verifierOf(name, signing string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(signing[len("PRIVATE+KEY+")+len(name)+len("+01234567+"):])
	if err != nil || len(raw) != 1+ed25519.SeedSize || raw[0] != ed25519Key {
		return "", errors.New("ledger: a signing key is not Ed25519")
	}
	public := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(name, public)
}

func (k *Keys) add(verifier, status string) error {
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return fmt.Errorf("ledger: verifier key: %w", err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.SplitN(verifier, "+", 3)[2])
	if err != nil {
		return fmt.Errorf("ledger: verifier key: %w", err)
	}
	k.public = append(k.public, PublicKey{
		Name: v.Name(), Algorithm: "Ed25519", PublicKey: base64.StdEncoding.EncodeToString(raw[1:]), VKey: verifier, Status: status,
	})
	return nil
}

// Public are the keys that checkpoints may be verified with, those that sign now first.
func (k *Keys) Public() []PublicKey { return k.public }

// Sign signs a checkpoint with every signing key.
func (k *Keys) Sign(c Checkpoint) (string, error) {
	signed, err := note.Sign(&note.Note{Text: c.text()}, k.signers...)
	if err != nil {
		return "", fmt.Errorf("ledger: sign: %w", err)
	}
	return string(signed), nil
}

// Verifiers knows the keys of a list of verifier keys.
func Verifiers(keys ...string) (note.Verifiers, error) {
	list := make([]note.Verifier, len(keys))
	for i, key := range keys {
		v, err := note.NewVerifier(strings.TrimSpace(key))
		if err != nil {
			return nil, fmt.Errorf("ledger: verifier key: %w", err)
		}
		list[i] = v
	}
	return note.VerifierList(list...), nil
}
