// Package uuid is Encore's UUID type, on top of github.com/google/uuid.
package uuid

import (
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	guuid "github.com/google/uuid"
)

// Size is the length of a UUID in bytes.
const Size = 16

// Versions of UUIDs.
const (
	_ byte = iota
	V1
	V2
	V3
	V4
	V5
)

// UUID is a universally unique identifier (RFC 9562).
type UUID [Size]byte

// Nil is the UUID of zeros.
var Nil = UUID{}

// NewV3 makes the UUID that MD5 gives for a name in a name space.
func NewV3(ns UUID, name string) UUID { return UUID(guuid.NewMD5(guuid.UUID(ns), []byte(name))) }

// NewV4 makes a random UUID.
func NewV4() (UUID, error) {
	u, err := guuid.NewRandom()
	return UUID(u), err
}

// NewV5 makes the UUID that SHA-1 gives for a name in a name space.
func NewV5(ns UUID, name string) UUID { return UUID(guuid.NewSHA1(guuid.UUID(ns), []byte(name))) }

// FromBytes takes the 16 bytes of a UUID.
func FromBytes(input []byte) (u UUID, err error) {
	err = u.UnmarshalBinary(input)
	return u, err
}

// FromBytesOrNil is [FromBytes], with [Nil] for an error.
func FromBytesOrNil(input []byte) UUID {
	u, err := FromBytes(input)
	if err != nil {
		return Nil
	}
	return u
}

// FromString reads the forms that [UUID.UnmarshalText] does.
func FromString(input string) (u UUID, err error) {
	err = u.UnmarshalText([]byte(input))
	return u, err
}

// FromStringOrNil is [FromString], with [Nil] for an error.
func FromStringOrNil(input string) UUID {
	u, err := FromString(input)
	if err != nil {
		return Nil
	}
	return u
}

// Must panics on an error. It is for variables that are set once.
func Must(u UUID, err error) UUID {
	if err != nil {
		panic(err)
	}
	return u
}

// Version gives the version that the UUID says it has.
func (u UUID) Version() byte { return u[6] >> 4 }

// SetVersion sets the version that the UUID says it has.
func (u *UUID) SetVersion(v byte) { u[6] = u[6]&0x0f | v<<4 }

// Bytes gives the 16 bytes.
func (u UUID) Bytes() []byte { return u[:] }

// String gives the canonical form.
func (u UUID) String() string { return guuid.UUID(u).String() }

// Format writes x and X as hexadecimal digits, S as the canonical form in capitals, #v as Go
// syntax, and v, s and q as the canonical form.
func (u UUID) Format(f fmt.State, c rune) {
	switch c {
	case 'x', 'X':
		s := hex.EncodeToString(u[:])
		if c == 'X' {
			s = strings.ToUpper(s)
		}
		_, _ = f.Write([]byte(s))
	case 'v', 's', 'S':
		s := u.String()
		if c == 'S' {
			s = strings.ToUpper(s)
		}
		if c == 'v' && f.Flag('#') {
			s = fmt.Sprintf("%#v", [Size]byte(u))
		}
		_, _ = f.Write([]byte(s))
	case 'q':
		_, _ = f.Write([]byte(`"` + u.String() + `"`))
	default:
		_, _ = fmt.Fprintf(f, "%%!%c(uuid.UUID=%s)", c, u.String())
	}
}

// MarshalText gives the canonical form.
func (u UUID) MarshalText() ([]byte, error) { return guuid.UUID(u).MarshalText() }

// UnmarshalText reads the canonical form, with or without hyphens, braces or urn:uuid:.
func (u *UUID) UnmarshalText(text []byte) error {
	s := strings.TrimPrefix(string(text), "urn:uuid:")
	if n := len(s); n >= 2 && s[0] == '{' && s[n-1] == '}' {
		s = s[1 : n-1]
	}
	if len(s) != 32 && len(s) != 36 {
		return errInvalid
	}
	parsed, err := guuid.Parse(s)
	if err != nil {
		return errInvalid
	}
	*u = UUID(parsed)
	return nil
}

// errInvalid does not repeat the input, which may be long and comes from outside.
var errInvalid = errors.New("uuid: not a UUID")

// MarshalBinary gives the 16 bytes.
func (u UUID) MarshalBinary() ([]byte, error) { return u.Bytes(), nil }

// UnmarshalBinary takes 16 bytes.
func (u *UUID) UnmarshalBinary(data []byte) error {
	if len(data) != Size {
		return fmt.Errorf("uuid: UUID must be exactly 16 bytes long, got %d bytes", len(data))
	}
	copy(u[:], data)
	return nil
}

// Value gives a database the canonical form.
func (u UUID) Value() (driver.Value, error) { return u.String(), nil }

// Scan takes 16 bytes or any text form from a database.
func (u *UUID) Scan(src interface{}) error {
	switch v := src.(type) {
	case UUID:
		*u = v
		return nil
	case []byte:
		if len(v) == Size {
			return u.UnmarshalBinary(v)
		}
		return u.UnmarshalText(v)
	case string:
		return u.UnmarshalText([]byte(v))
	}
	return fmt.Errorf("uuid: cannot convert %T to UUID", src)
}
