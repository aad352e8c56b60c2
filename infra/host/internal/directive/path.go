package directive

import (
	"fmt"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// SegmentKind is what one path segment matches.
type SegmentKind uint8

// A wildcard takes the rest of the path; a fallback does so only when nothing else matches.
const (
	Literal SegmentKind = iota
	Param
	Wildcard
	Fallback
)

// Segment is one part of a path between slashes.
type Segment struct {
	Kind SegmentKind
	Name string // the literal itself, or the parameter's name
}

// Path is a parsed path= value.
type Path []Segment

var literal = regexp.MustCompile(`^[A-Za-z0-9._~%@$&'()+,;=-]+$`)

// ParsePath reads Encore's path syntax: /a/:b/*rest or /!rest.
func ParsePath(s string) (Path, error) {
	rest, ok := strings.CutPrefix(s, "/")
	if !ok {
		return nil, fmt.Errorf("path %q must begin with a slash", s)
	}
	if rest == "" {
		return nil, fmt.Errorf("path / is not allowed; use a fallback such as /!path")
	}
	var p Path
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		if part == "" {
			return nil, fmt.Errorf("path %q has an empty segment; remove the doubled or trailing slash", s)
		}
		seg := Segment{Kind: Literal, Name: part}
		switch part[0] {
		case ':':
			seg = Segment{Kind: Param, Name: part[1:]}
		case '*':
			seg = Segment{Kind: Wildcard, Name: part[1:]}
		case '!':
			seg = Segment{Kind: Fallback, Name: part[1:]}
		}
		if seg.Kind == Literal {
			if !literal.MatchString(part) {
				return nil, fmt.Errorf("path %q has characters in %q that a path segment cannot hold", s, part)
			}
			p = append(p, seg)
			continue
		}
		if !token.IsIdentifier(seg.Name) {
			return nil, fmt.Errorf("path %q: %q is not a parameter name; use a Go identifier", s, seg.Name)
		}
		if slices.ContainsFunc(p, func(q Segment) bool { return q.Kind != Literal && q.Name == seg.Name }) {
			return nil, fmt.Errorf("path %q names parameter %s twice", s, seg.Name)
		}
		if seg.Kind != Param && i != len(parts)-1 {
			return nil, fmt.Errorf("path %q: %s must be the last segment", s, part)
		}
		p = append(p, seg)
	}
	return p, nil
}

// String is the path in Encore's syntax.
func (p Path) String() string { return p.render("", ":", "*", "!") }

// Template is the path in OpenAPI's syntax.
func (p Path) Template() string {
	var b strings.Builder
	for _, s := range p {
		if s.Kind == Literal {
			b.WriteString("/" + s.Name)
		} else {
			b.WriteString("/{" + s.Name + "}")
		}
	}
	return b.String()
}

func (p Path) render(prefix ...string) string {
	var b strings.Builder
	for _, s := range p {
		b.WriteString("/" + prefix[s.Kind] + s.Name)
	}
	return b.String()
}

// Params are the segments that are not literal, in order.
func (p Path) Params() []Segment {
	var out []Segment
	for _, s := range p {
		if s.Kind != Literal {
			out = append(out, s)
		}
	}
	return out
}

func (p Path) isFallback() bool { return len(p) > 0 && p[len(p)-1].Kind == Fallback }

// SharesMethod reports whether two endpoints answer a common method; "*" is every method.
func SharesMethod(a, b []string) bool {
	if slices.Contains(a, "*") || slices.Contains(b, "*") {
		return true
	}
	return slices.ContainsFunc(a, func(m string) bool { return slices.Contains(b, m) })
}

// Conflict says why two paths cannot be routed for the same method, or "" if they can.
// A literal and a parameter at one position clash, and so does a wildcard beside either;
// fallbacks clash only with each other.
func Conflict(a, b Path) string {
	if a.isFallback() != b.isFallback() {
		return ""
	}
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		switch {
		case x.Kind == Literal && y.Kind == Literal:
			if x.Name != y.Name {
				return ""
			}
		case x.Kind == Fallback && y.Kind == Fallback:
			return "both are the fallback for the same paths"
		case x.Kind == Fallback || y.Kind == Fallback:
			return "" // the longer fallback is the more specific one
		case x.Kind == Wildcard || y.Kind == Wildcard:
			return fmt.Sprintf("wildcard beside %s", describe(x, y))
		case x.Kind != y.Kind:
			return fmt.Sprintf("literal and parameter at the same position (%s)", describe(x, y))
		}
	}
	if len(a) == len(b) {
		return "the same path"
	}
	return ""
}

func describe(x, y Segment) string {
	one := func(s Segment) string { return Path{s}.String() }
	return one(x) + ", " + one(y)
}
