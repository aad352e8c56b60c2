package pdp

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// Key is a hash of everything the decision point would see, and of the policies and epochs it would
// see it under. What it hashes cannot be read back from it, wherever it is kept.
type Key [sha256.Size]byte

// keyBase is who asks, under which policies, and as of when.
type keyBase struct {
	digest      string
	fingerprint [sha256.Size]byte
	epochs      [4]uint64
}

// The questions a key can be of.
const (
	questionCheck = 'c'
	questionPlan  = 'p'
)

func (b *keyBase) key(question byte, r Resource, action string) (Key, error) {
	content := make([]byte, 0, 1024) // on the stack: most questions are a third of it
	content = append(content, question)
	content = appendText(content, b.digest)
	content = append(content, b.fingerprint[:]...)
	for _, epoch := range b.epochs {
		content = binary.BigEndian.AppendUint64(content, epoch)
	}
	content = appendText(content, action)
	content = appendText(content, r.Kind)
	content = appendText(content, r.ID)
	content, err := appendAttributes(content, r.Attr)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %s: %w", ErrInvalid, r.Kind, err)
	}
	return sha256.Sum256(content), nil
}

// appendValue writes v so that no two values read the same: a tag, lengths before contents, map keys
// in order, and every number as the double that policies see.
func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, 'n'), nil
	case bool:
		if v {
			return append(b, 't'), nil
		}
		return append(b, 'f'), nil
	case string:
		return appendText(append(b, 's'), v), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 'd'), math.Float64bits(v)), nil
	case int:
		return appendValue(b, float64(v))
	case []string:
		b = binary.AppendUvarint(append(b, 'l'), uint64(len(v)))
		for _, item := range v {
			b = appendText(append(b, 's'), item)
		}
		return b, nil
	case []any:
		b = binary.AppendUvarint(append(b, 'l'), uint64(len(v)))
		for _, item := range v {
			var err error
			if b, err = appendValue(b, item); err != nil {
				return b, err
			}
		}
		return b, nil
	case map[string]any:
		return appendAttributes(append(b, 'm'), v)
	}
	text, err := json.Marshal(v)
	return appendText(append(b, 'j'), string(text)), err
}

func appendAttributes(b []byte, attr map[string]any) ([]byte, error) {
	names := make([]string, 0, 16) // on the stack
	for name := range attr {
		names = append(names, name)
	}
	slices.Sort(names)
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, name := range names {
		var err error
		if b, err = appendValue(appendText(b, name), attr[name]); err != nil {
			return b, err
		}
	}
	return b, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
