// Package redact takes out of a text what must not be written down: e-mail addresses, credentials, the
// query of an address, and what somebody sent that the database repeats.
//
// It is for the texts of errors, which are made by whoever failed. It is a net below the rule that no
// such value is put into an error, not a replacement of it.
package redact

import (
	"errors"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// patterns are tried in this order.
var patterns = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^/@\s"']+@`), "${1}[redacted]@"},
	{regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^\s"'?]+)\?[^\s"']+`), "${1}?[redacted]"},
	{regexp.MustCompile(`(?i)\b(bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{8,}`), "${1} [redacted]"},
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}(\.[A-Za-z0-9_-]*)*`), "[redacted]"},
	{regexp.MustCompile(`\b(tnt_(imp_)?|tinv_|whsec_|[rs]k_(live|test)_)[0-9A-Za-z+/=_-]+`), "${1}[redacted]"},
	{regexp.MustCompile(`(?i)\b(password|passwd|pwd|secret|api_key|apikey|access_token|refresh_token)(["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;&)]+)`), "${1}${2}[redacted]"},
	{regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}`), "[redacted]"},
}

// Text is s without what the patterns find.
func Text(s string) string {
	for _, p := range patterns {
		s = p.find.ReplaceAllString(s, p.put)
	}
	return s
}

// Error is the text of err, without what the database repeats of what it was sent.
func Error(err error) string {
	text := err.Error()
	var pg *pgconn.PgError
	if errors.As(err, &pg) && repeats(pg.Code) {
		text = strings.ReplaceAll(text, pg.Message, quoted.ReplaceAllString(pg.Message, `"[redacted]"`))
	}
	return Text(text)
}

var quoted = regexp.MustCompile(`".*"`)

// repeats says whether a message of that code quotes values: classes 22 (data exception) and P0 (raised
// by a function). All others quote names.
func repeats(code string) bool { return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "P0") }
