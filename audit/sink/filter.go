package sink

import (
	"regexp"
	"strings"
)

// Filter is the patterns of the events that a sink wants; none is all of them. A pattern with a dot is
// kind.action ("project.create", "project.*", "*.delete"); one without is a kind or an action. A star
// stands for any run of characters.
type Filter []string

// Limits of a filter.
const (
	MaxPatterns = 50
	maxPattern  = 100
)

var pattern = regexp.MustCompile(`^[a-z0-9_*:-]+(\.[a-z0-9_*:-]+)?$`)

// ValidPattern says whether text is a pattern.
func ValidPattern(text string) bool { return len(text) <= maxPattern && pattern.MatchString(text) }

// Match says whether the filter wants an event of that kind of resource and action.
func (f Filter) Match(kind, action string) bool {
	if len(f) == 0 {
		return true
	}
	for _, p := range f {
		wantKind, wantAction, both := strings.Cut(p, ".")
		if both && glob(wantKind, kind) && glob(wantAction, action) {
			return true
		}
		if !both && (glob(p, kind) || glob(p, action)) {
			return true
		}
	}
	return false
}

// glob matches text against a pattern in which only * is special.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}
