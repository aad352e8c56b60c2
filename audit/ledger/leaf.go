// Package ledger is the arithmetic of the audit log, for those who write it and for those who check
// it: canonical JSON, leaves, the Merkle tree, checkpoints, and the verification of an export. It
// knows no database and no server, so that a verifier can be built from it alone.
//
// # Leaf
//
// A leaf is the event as the API shows it, changed as follows, in canonical form (RFC 8785):
//
//   - the members seq, leaf_hash, erased, commitments and proof are left out: they are not part of
//     what happened;
//   - each path that commitments names ("ip", or "changes." and the name of a change) is left out
//     too, and its commitment appears in a new member personal, under that path;
//   - a member v, with the value [Format], says which rules these are.
//
// The commitment to a personal value is SHA-256(salt ‖ path ‖ 0x00 ‖ value) in standard base64,
// where value is canonical JSON and the salt has 32 bytes. Whoever may see the value is given its
// salt; once the person is erased there is neither, only the commitment.
//
// The leaf's hash is RFC 6962's: SHA-256(0x00 ‖ leaf).
package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Format names the rules that leaves are made by.
const Format = "tenantry-audit-1"

// SaltSize is the length of a salt.
const SaltSize = 32

// Commitment is what stands for a personal value: its salt, for those who may see the value, or else
// the hash.
type Commitment struct {
	Salt []byte `json:"salt,omitempty"`
	Hash []byte `json:"hash,omitempty"`
}

// Commit is the commitment to a personal value, which is JSON text.
func Commit(salt []byte, path string, value []byte) ([]byte, error) {
	canonical, err := Canonical(nil, value)
	if err != nil {
		return nil, err
	}
	sum := commit(salt, []byte(path), canonical)
	return sum[:], nil
}

func commit(salt, path, canonical []byte) [sha256.Size]byte {
	var room [512]byte // enough for nearly all
	text := append(room[:0], salt...)
	text = append(text, path...)
	text = append(text, 0)
	text = append(text, canonical...)
	return sha256.Sum256(text)
}

// Hash is the hash of a leaf.
func Hash(leaf []byte) tlog.Hash { return tlog.RecordHash(leaf) }

// Leaf is the leaf of an event, which is JSON text.
func Leaf(event []byte) ([]byte, error) {
	var m Maker
	return m.Leaf(event)
}

// Maker makes leaves one after the other. It keeps its buffers; a leaf is good until the next.
type Maker struct {
	canonical         canonicalizer
	event, rest, leaf []byte
	given             []part
	parts, personal   []part
}

// part is a member of the leaf: a name without quotes, and canonical JSON.
type part struct{ name, value []byte }

// Leaf is the leaf of an event, which is JSON text.
func (m *Maker) Leaf(event []byte) (leaf []byte, err error) {
	if m.event, err = m.canonical.outline(m.event[:0], event); err != nil {
		return nil, err
	}
	if m.event[0] != '{' {
		return nil, errNoObject
	}
	m.given = m.given[:0]
	for _, member := range m.canonical.outer {
		m.given = append(m.given, member.of(m.event))
	}
	return m.leafOf(m.given)
}

var errNoObject = fmt.Errorf("%w: an event is an object", ErrNotJSON)

// leafOf is the leaf of the event with these members, which are in order.
func (m *Maker) leafOf(event []part) (leaf []byte, err error) {
	m.parts = m.parts[:0]
	var commitments []byte
	for _, p := range event {
		switch string(p.name) {
		case "seq", "leaf_hash", "erased", "proof":
		case "personal", "v": // the leaf's own: whoever writes them wants to be taken for another event
			return nil, fmt.Errorf("%w: an event has no %s", ErrNotJSON, p.name)
		case "commitments":
			commitments = p.value
		default:
			m.parts = append(m.parts, p)
		}
	}
	m.rest = m.rest[:0]
	if err := m.commit(commitments); err != nil {
		return nil, err
	}
	if len(m.personal) > 0 {
		m.parts = slices.DeleteFunc(m.parts, func(p part) bool { return m.hidden(p.name) })
	}
	for i, p := range m.parts {
		if string(p.name) == "changes" && len(m.personal) > 0 {
			m.parts[i].value = m.kept(func(dst []byte) []byte { return m.appendChanges(dst, p.value) })
		}
	}
	m.insert(part{namePersonal, m.kept(func(dst []byte) []byte { return appendObject(dst, m.personal) })})
	m.insert(part{nameFormat, format})
	m.leaf = appendObject(m.leaf[:0], m.parts)
	return m.leaf, nil
}

// insert puts a part where it belongs, which is rather at the end.
func (m *Maker) insert(p part) {
	i := len(m.parts)
	for i > 0 && compareNames(m.parts[i-1].name, p.name) > 0 {
		i--
	}
	m.parts = slices.Insert(m.parts, i, p)
}

// kept is what write appends to a buffer that lasts as long as the leaf.
func (m *Maker) kept(write func([]byte) []byte) []byte {
	start := len(m.rest)
	m.rest = write(m.rest)
	return m.rest[start:]
}

func appendObject(dst []byte, parts []part) []byte {
	dst = append(dst, '{')
	for i, p := range parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendMember(dst, p.name, p.value)
	}
	return append(dst, '}')
}

func appendMember(dst, name, value []byte) []byte {
	dst = append(dst, '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return append(dst, value...)
}

var (
	namePersonal = []byte("personal")
	nameFormat   = []byte("v")
	format       = []byte(`"` + Format + `"`)
)

const changesPrefix = "changes."

// commit reads the commitments, in order of their paths, as name and quoted base64.
func (m *Maker) commit(commitments []byte) error {
	m.personal = m.personal[:0]
	if commitments == nil || string(commitments) == "null" {
		return nil
	}
	if commitments[0] != '{' {
		return fmt.Errorf("%w: commitments are an object", ErrNotJSON)
	}
	for path, about := range members(commitments) {
		if about[0] != '{' {
			return fmt.Errorf("%w: a commitment is an object", ErrNotJSON)
		}
		var hash [sha256.Size]byte
		var known, given bool
		for name, value := range members(about) {
			raw, err := decode(value)
			if err != nil {
				return err
			}
			given = true
			switch string(name) {
			case "salt":
				value, ok := m.at(path)
				if !ok {
					return fmt.Errorf("%w: there is no %s to commit to", ErrNotJSON, path)
				}
				hash, known = commit(raw[:], path, value), true
			case "hash":
				if !known { // what can be rebuilt is not taken on trust
					hash = raw
				}
			default:
				return fmt.Errorf("%w: a commitment has no %s", ErrNotJSON, name)
			}
		}
		if !given {
			return fmt.Errorf("%w: a commitment is a salt or a hash", ErrNotJSON)
		}
		m.personal = append(m.personal, part{path, m.kept(func(dst []byte) []byte {
			dst = base64.StdEncoding.AppendEncode(append(dst, '"'), hash[:])
			return append(dst, '"')
		})})
	}
	return nil
}

// decode reads 32 bytes, which a salt has and a hash, too.
func decode(quoted []byte) (raw [sha256.Size]byte, err error) {
	const encoded = (sha256.Size + 2) / 3 * 4
	var room [encoded]byte
	if len(quoted) == encoded+2 && quoted[0] == '"' {
		n, err := base64.StdEncoding.Decode(room[:], quoted[1:len(quoted)-1])
		if err == nil && n == len(raw) {
			copy(raw[:], room[:])
			return raw, nil
		}
	}
	return raw, fmt.Errorf("%w: %d bytes in base64 are wanted", ErrNotJSON, len(raw))
}

// at is the value at a path of the event.
func (m *Maker) at(path []byte) ([]byte, bool) {
	in, name := m.parts, path
	if rest, ok := bytes.CutPrefix(path, []byte(changesPrefix)); ok {
		in, name = nil, rest
		for _, p := range m.parts {
			if string(p.name) == "changes" && len(p.value) > 0 && p.value[0] == '{' {
				for n, v := range members(p.value) {
					if bytes.Equal(n, rest) {
						return v, true
					}
				}
			}
		}
	}
	for _, p := range in {
		if bytes.Equal(p.name, name) {
			return p.value, true
		}
	}
	return nil, false
}

// hidden reports whether a path is committed to rather than shown.
func (m *Maker) hidden(path []byte) bool {
	return slices.ContainsFunc(m.personal, func(p part) bool { return bytes.Equal(p.name, path) })
}

// appendChanges writes the changes that are nobody's personal data.
func (m *Maker) appendChanges(dst, changes []byte) []byte {
	if len(changes) == 0 || changes[0] != '{' {
		return append(dst, changes...)
	}
	dst = append(dst, '{')
	first := true
	for name, value := range members(changes) {
		if slices.ContainsFunc(m.personal, func(p part) bool {
			rest, ok := bytes.CutPrefix(p.name, []byte(changesPrefix))
			return ok && bytes.Equal(rest, name)
		}) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendMember(dst, name, value)
	}
	return append(dst, '}')
}
