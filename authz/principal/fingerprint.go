package principal

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// fingerprint is a hash of an encoding in which no two principals look alike: each value begins with its
// kind, and with its length where it has one.
func fingerprint(id string, roles []string, attrs map[string]any) ([sha256.Size]byte, error) {
	var room [1024]byte
	b := appendString(room[:0], id)
	b = append(b, kindList)
	b = binary.AppendUvarint(b, uint64(len(roles)))
	for _, role := range roles {
		b = appendString(b, role)
	}
	b, err := appendValue(b, attrs)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(b), nil
}

const (
	kindString = 's'
	kindNumber = 'n'
	kindBool   = 'b'
	kindList   = 'l'
	kindMap    = 'm'
)

func appendString(b []byte, s string) []byte {
	b = append(b, kindString)
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendValue knows the values that attributes have. Maps are written in the order of their keys.
func appendValue(b []byte, v any) (_ []byte, err error) {
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
	case []any:
		b = binary.AppendUvarint(append(b, kindList), uint64(len(v)))
		for _, item := range v {
			if b, err = appendValue(b, item); err != nil {
				return nil, err
			}
		}
		return b, nil
	case map[string]any:
		b = binary.AppendUvarint(append(b, kindMap), uint64(len(v)))
		var room [16]string
		keys := slices.AppendSeq(room[:0], maps.Keys(v))
		slices.Sort(keys)
		for _, key := range keys {
			if b, err = appendValue(appendString(b, key), v[key]); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("an attribute is a %T", v)
}
