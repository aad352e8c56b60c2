package ledger

import "iter"

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
			for pos++; s[pos] != '"'; pos++ {
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
