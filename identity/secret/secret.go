// Package secret makes and reads the bearer secrets that the app itself gives out: a prefix that says
// what it is, 256 random bits, the organisation it belongs to, and a checksum. The checksum lets a
// leak scanner be sure of what it found, and refuses a typing error without a look-up; the
// organisation lets the look-up run in that organisation's scope. Only the hash is ever stored.
//
// A scanner finds them with \btnt_(imp_)?[0-9A-Za-z]{71}\b: 43 characters of randomness, 22 of the
// organisation's id and 6 of a CRC-32 (IEEE) over all that stands before them, prefix included, each a
// base62 number in the digits 0-9, A-Z, a-z.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"math/big"
	"strings"

	"encore.dev/types/uuid"
)

// Kind is what a secret opens; it is also how the secret begins.
type Kind string

// The kinds. A reader tries the longer one first.
const (
	APIKey        Kind = "tnt_"
	Impersonation Kind = "tnt_imp_"
)

const (
	alphabet     = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	randomBytes  = 32
	randomChars  = 43 // 62^43 > 2^256
	orgChars     = 22 // 62^22 > 2^128
	sumChars     = 6  // 62^6 > 2^32
	prefixRandom = 8  // characters of randomness that a prefix shows: 208 bits stay hidden
)

// ErrMalformed is a text that no New made.
var ErrMalformed = errors.New("secret: malformed")

// New makes a secret for an organisation.
func New(kind Kind, org uuid.UUID) string {
	var random [randomBytes]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the process first
	body := string(kind) + encode(random[:], randomChars) + encode(org[:], orgChars)
	return body + sum(body)
}

// Is says whether raw claims to be one of ours; everything else is for another reader.
func Is(raw string) bool { return strings.HasPrefix(raw, string(APIKey)) }

// Parse says what raw opens and in which organisation. It proves nothing: the hash does.
func Parse(raw string) (Kind, uuid.UUID, error) {
	kind := Impersonation
	rest, ok := strings.CutPrefix(raw, string(kind))
	if !ok {
		kind = APIKey
		rest, ok = strings.CutPrefix(raw, string(kind))
	}
	if !ok || len(rest) != randomChars+orgChars+sumChars {
		return "", uuid.Nil, ErrMalformed
	}
	body := len(raw) - sumChars
	if sum(raw[:body]) != raw[body:] {
		return "", uuid.Nil, ErrMalformed
	}
	org, err := decode(rest[randomChars : randomChars+orgChars])
	if err != nil || strings.Trim(rest, alphabet) != "" {
		return "", uuid.Nil, ErrMalformed
	}
	return kind, org, nil
}

// Hash is what is stored of raw. Its randomness makes a slow or salted hash needless.
func Hash(raw string) [sha256.Size]byte { return sha256.Sum256([]byte(raw)) }

// Prefix is enough of an API key to tell it from its siblings, and too little to guess it.
func Prefix(raw string) string { return raw[:len(APIKey)+prefixRandom] }

func sum(body string) string {
	n := crc32.ChecksumIEEE([]byte(body))
	return encode([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, sumChars)
}

var base = big.NewInt(int64(len(alphabet)))

// encode writes raw as a base62 number of exactly width digits.
func encode(raw []byte, width int) string {
	n, digit := new(big.Int).SetBytes(raw), new(big.Int)
	out := make([]byte, width)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		out[i] = alphabet[digit.Int64()]
	}
	return string(out)
}

func decode(text string) (id uuid.UUID, err error) {
	n := new(big.Int)
	for i := range len(text) {
		digit := strings.IndexByte(alphabet, text[i])
		if digit < 0 {
			return uuid.Nil, ErrMalformed
		}
		n.Add(n.Mul(n, base), big.NewInt(int64(digit)))
	}
	if n.BitLen() > 8*len(id) {
		return uuid.Nil, ErrMalformed
	}
	n.FillBytes(id[:])
	return id, nil
}
