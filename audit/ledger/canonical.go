package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrNotJSON is returned for text that is not JSON as RFC 8785 wants it: I-JSON, without duplicate
// names, lone surrogates, or whole numbers that a double cannot hold.
var ErrNotJSON = errors.New("ledger: not JSON that has a canonical form")

// maxDepth is deeper than any event nests.
const maxDepth = 64

// Canonical appends the canonical form (RFC 8785) of the JSON text src to dst.
func Canonical(dst, src []byte) ([]byte, error) {
	var c canonicalizer
	return c.text(dst, src)
}

// canonicalizer writes canonical JSON. It keeps its buffers, so that a verifier of millions of
// entries does not allocate for each.
type canonicalizer struct {
	src     []byte
	pos     int
	members []member
	scratch []byte
	moved   bool // something was put in order

	outer, inner []member // of the object that the text is, and of the objects that are its members
}

// member is where one name and its value lie in the output: "name":value from start to end.
type member struct{ start, name, end int }

func (m member) of(text []byte) part { return part{text[m.start+1 : m.name-1], text[m.name+1 : m.end]} }

// outline is like text, and outer and inner say where the members lie.
func (c *canonicalizer) outline(dst, src []byte) ([]byte, error) {
	dst, err := c.text(dst, src)
	if err == nil && c.moved { // the places are those of before
		dst, err = c.text(dst[:0], bytes.Clone(dst))
	}
	return dst, err
}

func (c *canonicalizer) text(dst, src []byte) ([]byte, error) {
	c.src, c.pos, c.members, c.moved = src, 0, c.members[:0], false
	c.outer, c.inner = c.outer[:0], c.inner[:0]
	dst, err := c.value(dst, 0)
	if err != nil {
		return nil, err
	}
	if c.space(); c.pos != len(src) {
		return nil, c.fault("something after the value")
	}
	return dst, nil
}

func (c *canonicalizer) fault(what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrNotJSON, what, c.pos)
}

func (c *canonicalizer) space() {
	for c.pos < len(c.src) {
		switch c.src[c.pos] {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return
		}
	}
}

// next is the byte after white space; 0 at the end.
func (c *canonicalizer) next() byte {
	if c.space(); c.pos < len(c.src) {
		return c.src[c.pos]
	}
	return 0
}

func (c *canonicalizer) value(dst []byte, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, c.fault("nested too deep")
	}
	switch b := c.next(); b {
	case '{':
		return c.object(dst, depth)
	case '[':
		return c.array(dst, depth)
	case '"':
		return c.str(dst)
	case 't':
		return c.word(dst, "true")
	case 'f':
		return c.word(dst, "false")
	case 'n':
		return c.word(dst, "null")
	default:
		return c.number(dst)
	}
}

func (c *canonicalizer) word(dst []byte, word string) ([]byte, error) {
	if !bytes.HasPrefix(c.src[c.pos:], []byte(word)) {
		return nil, c.fault("an unknown word")
	}
	c.pos += len(word)
	return append(dst, word...), nil
}

func (c *canonicalizer) array(dst []byte, depth int) (_ []byte, err error) {
	c.pos++
	dst = append(dst, '[')
	if c.next() == ']' {
		c.pos++
		return append(dst, ']'), nil
	}
	for {
		if dst, err = c.value(dst, depth+1); err != nil {
			return nil, err
		}
		switch c.next() {
		case ',':
			dst = append(dst, ',')
		case ']':
			c.pos++
			return append(dst, ']'), nil
		default:
			return nil, c.fault("an array that does not go on")
		}
		c.pos++
	}
}

func (c *canonicalizer) object(dst []byte, depth int) (_ []byte, err error) {
	c.pos++
	dst = append(dst, '{')
	if c.next() == '}' {
		c.pos++
		return append(dst, '}'), nil
	}
	first := len(c.members)
	for {
		if c.next() != '"' {
			return nil, c.fault("a member without a name")
		}
		m := member{start: len(dst)}
		if dst, err = c.str(dst); err != nil {
			return nil, err
		}
		m.name = len(dst)
		if c.next() != ':' {
			return nil, c.fault("a name without a value")
		}
		c.pos++
		if dst, err = c.value(append(dst, ':'), depth+1); err != nil {
			return nil, err
		}
		m.end = len(dst)
		c.members = append(c.members, m)
		if b := c.next(); b == '}' {
			c.pos++
			break
		} else if b != ',' {
			return nil, c.fault("an object that does not go on")
		}
		c.pos++
		dst = append(dst, ',')
	}
	if err := c.sort(dst, c.members[first:]); err != nil {
		return nil, err
	}
	switch depth {
	case 0:
		c.outer = append(c.outer, c.members[first:]...)
	case 1:
		c.inner = append(c.inner, c.members[first:]...)
	}
	c.members = c.members[:first]
	return append(dst, '}'), nil
}

// sort puts the members of the object that ends dst in order.
func (c *canonicalizer) sort(dst []byte, ms []member) error {
	name := func(m member) []byte { return dst[m.start+1 : m.name-1] }
	sorted := true
	for i := 1; i < len(ms) && sorted; i++ {
		sorted = compareNames(name(ms[i-1]), name(ms[i])) < 0
	}
	if sorted {
		return nil
	}
	c.moved = true
	from := ms[0].start
	slices.SortFunc(ms, func(a, b member) int { return compareNames(name(a), name(b)) })
	c.scratch = c.scratch[:0]
	for i, m := range ms {
		if i > 0 {
			if compareNames(name(ms[i-1]), name(m)) == 0 {
				return c.fault("a name that comes twice")
			}
			c.scratch = append(c.scratch, ',')
		}
		c.scratch = append(c.scratch, dst[m.start:m.end]...)
	}
	copy(dst[from:], c.scratch)
	return nil
}

// compareNames orders by UTF-16 code units. Names are canonical strings without their quotes.
func compareNames(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		if x == '\\' || y == '\\' || x != y && max(x, y) >= 0xee { // the order of bytes is another one here
			return slices.Compare(codeUnits(a), codeUnits(b))
		}
		if x != y {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

func codeUnits(name []byte) []uint16 {
	var units []uint16
	for i := 0; i < len(name); {
		if name[i] == '\\' {
			r, size := unescape(name[i:])
			units, i = append(units, uint16(r)), i+size
			continue
		}
		r, size := utf8.DecodeRune(name[i:])
		units, i = utf16.AppendRune(units, r), i+size
	}
	return units
}

// unescape reads one escape sequence as one UTF-16 code unit; size is 0 if it is none.
func unescape(s []byte) (unit rune, size int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case '"', '\\', '/':
		return rune(s[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		if len(s) < 6 {
			return 0, 0
		}
		n, err := strconv.ParseUint(string(s[2:6]), 16, 16)
		if err != nil {
			return 0, 0
		}
		return rune(n), 6
	}
	return 0, 0
}

func (c *canonicalizer) str(dst []byte) ([]byte, error) {
	start := c.pos
	for c.pos++; ; {
		if c.pos = plain(c.src, c.pos); c.pos == len(c.src) {
			return nil, c.fault("a string without an end")
		}
		switch b := c.src[c.pos]; {
		case b == '"':
			c.pos++
			return append(dst, c.src[start:c.pos]...), nil
		case b < 0x20:
			return nil, c.fault("a control character")
		case b == '\\':
			dst = append(dst, c.src[start:c.pos]...)
			var err error
			if dst, err = c.escape(dst); err != nil {
				return nil, err
			}
			start = c.pos
		default:
			r, size := utf8.DecodeRune(c.src[c.pos:])
			if r == utf8.RuneError && size == 1 {
				return nil, c.fault("text that is not UTF-8")
			}
			c.pos += size
		}
	}
}

func (c *canonicalizer) escape(dst []byte) ([]byte, error) {
	r, size := unescape(c.src[c.pos:])
	if size == 0 {
		return nil, c.fault("an unknown escape")
	}
	c.pos += size
	if utf16.IsSurrogate(r) {
		low, size := rune(0), 0
		if c.pos < len(c.src) && c.src[c.pos] == '\\' {
			low, size = unescape(c.src[c.pos:])
		}
		if r = utf16.DecodeRune(r, low); size == 0 || r == utf8.RuneError {
			return nil, c.fault("half a surrogate pair")
		}
		c.pos += size
	}
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r)), nil
	case '\b':
		return append(dst, `\b`...), nil
	case '\f':
		return append(dst, `\f`...), nil
	case '\n':
		return append(dst, `\n`...), nil
	case '\r':
		return append(dst, `\r`...), nil
	case '\t':
		return append(dst, `\t`...), nil
	}
	if r < 0x20 {
		return fmt.Appendf(dst, `\u%04x`, r), nil
	}
	return utf8.AppendRune(dst, r), nil
}
