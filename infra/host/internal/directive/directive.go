// Package directive parses the //encore: comments that turn Go declarations
// into services, endpoints, auth handlers and middleware, and the paths in them.
package directive

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// Kind is the word after "//encore:".
type Kind string

// The directives of Encore for Go.
const (
	API         Kind = "api"
	Service     Kind = "service"
	AuthHandler Kind = "authhandler"
	Middleware  Kind = "middleware"
)

// Access says who may call an endpoint from outside.
type Access string

// An endpoint without an access word is private.
const (
	Private Access = "private"
	Auth    Access = "auth"
	Public  Access = "public"
)

// Directive is one parsed comment. Which fields are set depends on Kind.
type Directive struct {
	Kind Kind
	Pos  token.Pos

	// API
	Access    Access
	Raw       bool
	Sensitive bool
	Methods   []string // empty: the default for the endpoint's form
	Path      Path     // nil segments: the default /service.Endpoint
	Tags      []string

	// Middleware
	Global     bool
	TargetAll  bool
	TargetTags []string
}

// methods lists what a method= word may name.
var methods = []string{"*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}

var tagName = regexp.MustCompile(`^[a-z]([-_a-z0-9]*[a-z0-9])?$`)

// legacy matches the old spelling with a space, which is still accepted.
var legacy = regexp.MustCompile(`^// encore:(api|service|authhandler|middleware)(\s|$)`)

// Is reports whether a comment is a directive, in either spelling.
func Is(c *ast.Comment) bool {
	return strings.HasPrefix(c.Text, "//encore:") || legacy.MatchString(c.Text)
}

// Parse reads one directive comment.
func Parse(c *ast.Comment) (*Directive, error) {
	text := strings.TrimPrefix(strings.TrimPrefix(c.Text, "//"), " ")
	words := strings.Fields(strings.TrimPrefix(text, "encore:"))
	if len(words) == 0 {
		return nil, fmt.Errorf("empty encore directive; name one of api, service, authhandler, middleware")
	}
	d := &Directive{Kind: Kind(words[0]), Pos: c.Pos()}
	switch d.Kind {
	case API:
		return d, d.parseAPI(words[1:])
	case Middleware:
		return d, d.parseMiddleware(words[1:])
	case Service, AuthHandler:
		if len(words) > 1 {
			return nil, fmt.Errorf("unknown word %q in encore:%s directive; it takes none", words[1], d.Kind)
		}
		return d, nil
	default:
		return nil, fmt.Errorf("unknown directive encore:%s; use api, service, authhandler or middleware", d.Kind)
	}
}

func (d *Directive) parseAPI(words []string) error {
	seen := map[string]bool{}
	for _, w := range words {
		key, value, hasValue := strings.Cut(w, "=")
		if hasValue || !strings.HasPrefix(w, "tag:") {
			if seen[key] {
				return fmt.Errorf("%q stands twice in the encore:api directive; keep one", key)
			}
			seen[key] = true
		}
		switch {
		case !hasValue && (w == "public" || w == "private" || w == "auth"):
			if d.Access != "" {
				return fmt.Errorf("two access words, %s and %s; keep one of public, auth, private", d.Access, w)
			}
			d.Access = Access(w)
		case w == "raw":
			d.Raw = true
		case w == "sensitive":
			d.Sensitive = true
		case hasValue && key == "method":
			for m := range strings.SplitSeq(value, ",") {
				if !slices.Contains(methods, m) {
					return fmt.Errorf("unknown method %q; write HTTP methods in capitals, separated by commas", m)
				}
				if slices.Contains(d.Methods, m) {
					return fmt.Errorf("method %s stands twice; keep one", m)
				}
				d.Methods = append(d.Methods, m)
			}
		case hasValue && key == "path":
			p, err := ParsePath(value)
			if err != nil {
				return err
			}
			d.Path = p
		case strings.HasPrefix(w, "tag:"):
			tag := strings.TrimPrefix(w, "tag:")
			if !tagName.MatchString(tag) {
				return fmt.Errorf("bad tag %q; tags are lower-case letters, digits, - and _, and begin with a letter", tag)
			}
			if slices.Contains(d.Tags, tag) {
				return fmt.Errorf("tag %s stands twice; keep one", tag)
			}
			d.Tags = append(d.Tags, tag)
		default:
			return fmt.Errorf("unknown word %q in encore:api directive; use public, auth, private, raw, sensitive, method=, path= or tag:", w)
		}
	}
	if d.Raw && d.Access == Private {
		return fmt.Errorf("a raw endpoint cannot be private; make it public or auth, or drop raw")
	}
	if d.Access == "" {
		d.Access = Private
	}
	return nil
}

func (d *Directive) parseMiddleware(words []string) error {
	targeted := false
	for _, w := range words {
		target, isTarget := strings.CutPrefix(w, "target=")
		switch {
		case w == "global" && !d.Global:
			d.Global = true
		case isTarget && !targeted:
			targeted = true
			if target == "all" {
				d.TargetAll = true
				continue
			}
			for t := range strings.SplitSeq(target, ",") {
				tag, ok := strings.CutPrefix(t, "tag:")
				if !ok || !tagName.MatchString(tag) {
					return fmt.Errorf("bad middleware target %q; use target=all or target=tag:a,tag:b", t)
				}
				d.TargetTags = append(d.TargetTags, tag)
			}
		default:
			return fmt.Errorf("unknown or repeated word %q in encore:middleware directive; use global and one target=", w)
		}
	}
	if !targeted {
		return fmt.Errorf("middleware without a target; add target=all or target=tag:a,tag:b")
	}
	return nil
}
