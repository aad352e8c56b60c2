package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxParams bounds the parameters of a path, so that a match needs no allocation.
const maxParams = 8

// anyMethod is what a raw endpoint without method= answers to.
const anyMethod = "*"

// router finds an endpoint by Encore's rules: at one position a literal wins over a parameter,
// and that over a wildcard; the nearest fallback takes what nothing else does. A path that only
// other methods have is no match, but tells which those are.
type router[T any] struct{ root node[T] }

type node[T any] struct {
	literal  map[string]*node[T]
	param    *node[T]
	wildcard leaf[T]
	fallback leaf[T]
	here     leaf[T]
}

// leaf holds what a path leads to by method.
type leaf[T any] map[string]T

func (l leaf[T]) get(method string) (v T, ok bool) {
	if v, ok = l[method]; ok {
		return v, true
	}
	v, ok = l[anyMethod]
	return v, ok
}

// segments splits a path in Encore's syntax.
func segments(path string) ([]string, error) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok || rest == "" {
		return nil, fmt.Errorf("path %q must start with / and have a segment", path)
	}
	segs := strings.Split(rest, "/")
	for i, s := range segs {
		if s == "" || (strings.ContainsAny(s[:1], ":*!") && len(s) == 1) {
			return nil, fmt.Errorf("path %q has an empty segment", path)
		}
		if (s[0] == '*' || s[0] == '!') && i != len(segs)-1 {
			return nil, fmt.Errorf("path %q: %s must come last", path, s)
		}
	}
	return segs, nil
}

// add makes path lead to v for each method.
func (r *router[T]) add(methods []string, path string, v T) error {
	segs, err := segments(path)
	if err != nil {
		return err
	}
	n, params := &r.root, 0
	end := &n.here
	for _, s := range segs {
		switch s[0] {
		case ':':
			if n.param == nil {
				n.param = &node[T]{}
			}
			n, params = n.param, params+1
			end = &n.here
		case '*':
			end, params = &n.wildcard, params+1
		case '!':
			end, params = &n.fallback, params+1
		default:
			next := n.literal[s]
			if next == nil {
				next = &node[T]{}
				if n.literal == nil {
					n.literal = map[string]*node[T]{}
				}
				n.literal[s] = next
			}
			n = next
			end = &n.here
		}
	}
	if params > maxParams {
		return fmt.Errorf("path %q has more than %d parameters", path, maxParams)
	}
	if *end == nil {
		*end = leaf[T]{}
	}
	for _, m := range methods {
		if _, taken := (*end)[m]; taken {
			return fmt.Errorf("%s %s is taken", m, path)
		}
		(*end)[m] = v
	}
	return nil
}

// match is what a path leads to.
type match[T any] struct {
	to       T
	found    bool
	fallback bool              // it was a fallback that took it
	values   [maxParams]string // of the parameters, in path order
	n        int
	allow    []string // methods that the path has, if found is false
}

// find looks a path up as it is on the wire: still escaped.
func (r *router[T]) find(method, escaped string, m *match[T]) {
	rest, ok := strings.CutPrefix(escaped, "/")
	if !ok {
		return
	}
	if r.walk(&r.root, method, rest, false, m) {
		m.found = true
		return
	}
	if r.walkFallback(&r.root, method, rest, m) {
		m.found, m.fallback = true, true
		return
	}
	slices.Sort(m.allow)
	m.allow = slices.Compact(m.allow)
}

// walk matches rest below n. done says that the path has ended.
func (r *router[T]) walk(n *node[T], method, rest string, done bool, m *match[T]) bool {
	if done {
		return m.end(n.here, method)
	}
	raw, tail, more := strings.Cut(rest, "/")
	seg, ok := unescape(raw)
	if ok && seg != "" {
		if next := n.literal[seg]; next != nil && r.walk(next, method, tail, !more, m) {
			return true
		}
		if n.param != nil {
			m.push(seg)
			if r.walk(n.param, method, tail, !more, m) {
				return true
			}
			m.n--
		}
	}
	if n.wildcard != nil {
		if all, ok := unescape(rest); ok {
			m.push(all)
			if m.end(n.wildcard, method) {
				return true
			}
			m.n--
		}
	}
	return false
}

// walkFallback finds the fallback nearest to the path.
func (r *router[T]) walkFallback(n *node[T], method, rest string, m *match[T]) bool {
	raw, tail, more := strings.Cut(rest, "/")
	if seg, ok := unescape(raw); ok && more && seg != "" {
		if next := n.literal[seg]; next != nil && r.walkFallback(next, method, tail, m) {
			return true
		}
		if n.param != nil {
			m.push(seg)
			if r.walkFallback(n.param, method, tail, m) {
				return true
			}
			m.n--
		}
	}
	if n.fallback == nil {
		return false
	}
	all, ok := unescape(rest)
	if !ok {
		return false
	}
	m.push(all)
	if m.end(n.fallback, method) {
		return true
	}
	m.n--
	return false
}

func (m *match[T]) push(v string) {
	m.values[m.n] = v
	m.n++
}

// end takes the leaf if it has the method, and otherwise notes which it has.
func (m *match[T]) end(l leaf[T], method string) bool {
	to, ok := l.get(method)
	if !ok {
		for has := range l {
			m.allow = append(m.allow, has)
		}
		return false
	}
	m.to = to
	return true
}

func unescape(s string) (string, bool) {
	if !strings.Contains(s, "%") {
		return s, true
	}
	u, err := url.PathUnescape(s)
	return u, err == nil
}

// otherSlash gives the path with its trailing slash taken away, or one added.
func otherSlash(path string) (string, bool) {
	if path == "/" || path == "" || strings.HasPrefix(path, "//") || strings.Contains(path, `\`) {
		return "", false // never redirect to what a browser takes for another host
	}
	if cut, had := strings.CutSuffix(path, "/"); had {
		return cut, true
	}
	return path + "/", true
}

// redirectStatus is the redirect that keeps the method.
func redirectStatus(method string) int {
	if method == http.MethodGet {
		return http.StatusMovedPermanently
	}
	return http.StatusPermanentRedirect
}
