package ledger

import (
	"bytes"
	"math"
	"strconv"
)

// exactDigits is how many digits every whole number may have and still be one double.
const exactDigits = 15

// number writes a number as ECMAScript does.
func (c *canonicalizer) number(dst []byte) ([]byte, error) {
	start := c.pos
	for c.pos < len(c.src) && isNumeric(c.src[c.pos]) {
		c.pos++
	}
	text := c.src[start:c.pos]
	whole, ok := wellFormed(text)
	if !ok {
		c.pos = start
		return nil, c.fault("no value")
	}
	digits := bytes.TrimPrefix(text, []byte{'-'})
	if whole && len(digits) <= exactDigits {
		if len(digits) == 1 && digits[0] == '0' {
			return append(dst, '0'), nil
		}
		return append(dst, text...), nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return nil, c.fault("a number out of range")
	}
	if whole && strconv.FormatFloat(f, 'f', -1, 64) != string(text) {
		return nil, c.fault("a whole number that a double cannot hold")
	}
	return appendNumber(dst, f), nil
}

func isNumeric(b byte) bool {
	return b >= '0' && b <= '9' || b == '-' || b == '+' || b == '.' || b == 'e' || b == 'E'
}

// wellFormed checks the grammar of a number and says whether it is written as a whole one.
func wellFormed(s []byte) (whole, ok bool) {
	s = bytes.TrimPrefix(s, []byte{'-'})
	n := countDigits(s)
	if n == 0 || n > 1 && s[0] == '0' {
		return false, false
	}
	s, whole = s[n:], true
	if len(s) > 0 && s[0] == '.' {
		if n = countDigits(s[1:]); n == 0 {
			return false, false
		}
		s, whole = s[1+n:], false
	}
	if len(s) > 0 && (s[0] == 'e' || s[0] == 'E') {
		s, whole = s[1:], false
		if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if n = countDigits(s); n == 0 {
			return false, false
		}
		s = s[n:]
	}
	return whole, len(s) == 0
}

func countDigits(s []byte) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// appendNumber is ECMAScript's Number::toString (RFC 8785, section 3.2.2.3).
func appendNumber(dst []byte, f float64) []byte {
	if f == 0 {
		return append(dst, '0')
	}
	if size := math.Abs(f); size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	// Go writes at least two digits of exponent, ECMAScript no leading zero.
	if e := start + bytes.IndexByte(dst[start:], 'e'); dst[e+2] == '0' {
		dst = append(dst[:e+2], dst[e+3:]...)
	}
	return dst
}
