package idempotency

import (
	"regexp"
	"strings"

	"encore.app/infra/platform/fault"
)

const maxKey = 255

var (
	// quotedKey is a string of RFC 8941 §3.3.3: a backslash stands before a quote or another one.
	quotedKey = regexp.MustCompile(`^"((?:[ !#-\[\]-~]|\\["\\])*)"$`)
	bareKey   = regexp.MustCompile(`^[!#-~][ -~]*$`)
)

// ParseKey reads the header: a structured-field string, or the bare text that most clients send. It may
// be given once.
func ParseKey(headers ...string) (string, error) {
	key := ""
	if len(headers) == 1 {
		key = strings.TrimSpace(headers[0])
	}
	if quoted := quotedKey.FindStringSubmatch(key); quoted != nil {
		key = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1])
	} else if !bareKey.MatchString(key) {
		key = ""
	}
	if key == "" || len(key) > maxKey {
		var c fault.Checks
		c.Add(Header, "must be one key of 1 to %d printable ASCII characters", maxKey)
		return "", c.Err()
	}
	return key, nil
}
