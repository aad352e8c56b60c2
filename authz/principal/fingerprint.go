package principal

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// fingerprint is a hash of an encoding in which no two principals look alike: each value begins with its
// kind, and with its length where it has one.
func fingerprint(id string, roles []string, attrs []attribute) ([sha256.Size]byte, error) {
	var room [1024]byte
	b := appendString(room[:0], id)
	b = appendStrings(b, roles)
	for _, a := range attrs {
		var err error
		if b, err = appendValue(appendString(b, a.name), a.value); err != nil {
			return [sha256.Size]byte{}, err
		}
	}
	return sha256.Sum256(b), nil
}

const (
	kindString = 's'
	kindNumber = 'n'
	kindBool   = 'b'
	kindList   = 'l'
	kindTeams  = 't'
)

func appendString(b []byte, s string) []byte {
	b = append(b, kindString)
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(append(b, kindList), uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return appendString(b, v), nil
	case bool:
		if v {
			return append(b, kindBool, 1), nil
		}
		return append(b, kindBool, 0), nil
	case int:
		return binary.AppendVarint(append(b, kindNumber), int64(v)), nil
	case []string:
		return appendStrings(b, v), nil
	case []Team:
		b = binary.AppendUvarint(append(b, kindTeams), uint64(len(v)))
		for _, team := range v {
			b = appendStrings(appendString(b, team.ID), team.Roles)
		}
		return b, nil
	}
	return nil, fmt.Errorf("an attribute is a %T", v)
}
