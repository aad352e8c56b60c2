package ledger

import (
	"encoding/binary"
	"iter"
	"math/bits"
)

// members goes through a canonical object: names without their quotes, and values.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		if len(object) < 2 || object[0] != '{' {
			return
		}
		for pos := 1; pos < len(object)-1; pos++ { // past the comma
			end := skip(object, pos)
			name := object[pos+1 : end-1]
			pos = skip(object, end+1)
			if !yield(name, object[end+1:pos]) {
				return
			}
		}
	}
}

// skip is where the canonical value that begins at pos ends.
func skip(s []byte, pos int) int {
	depth := 0
	for ; pos < len(s); pos++ {
		switch s[pos] {
		case '"':
			for pos = plain(s, pos+1); s[pos] != '"'; pos = plain(s, pos+1) {
				if s[pos] == '\\' {
					pos++
				}
			}
			if depth == 0 {
				return pos + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // the end of what holds a number or a word
				return pos
			}
			if depth--; depth == 0 {
				return pos + 1
			}
		case ',':
			if depth == 0 {
				return pos
			}
		}
	}
	return pos
}

// plain is where the first byte from pos on lies that a string does not simply consist of: a quote, a
// backslash, a control character, or a byte beyond ASCII; len(s) if there is none.
func plain(s []byte, pos int) int {
	const (
		each = 0x0101010101010101
		high = each << 7
	)
	for ; pos+8 <= len(s); pos += 8 {
		w := binary.LittleEndian.Uint64(s[pos:])
		// The high bit of a byte is set where the byte is zero (or follows, by a borrow, one that is: the
		// lowest is right).
		quote, backslash := w^each*'"', w^each*'\\'
		if found := (w | (w - each*' ') | (quote - each) | (backslash - each)) & high; found != 0 {
			return pos + bits.TrailingZeros64(found)/8
		}
	}
	for ; pos < len(s); pos++ {
		if b := s[pos]; b == '"' || b == '\\' || b < ' ' || b >= 0x80 {
			break
		}
	}
	return pos
}
