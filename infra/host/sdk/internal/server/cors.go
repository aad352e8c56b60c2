package server

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"encore.dev/internal/registry"
)

// preflightAge is how long browsers may keep a preflight's answer, in seconds.
const preflightAge = "600"

// cors answers browsers that ask whether another origin may call. Origins in the credentialed
// list may send cookies, certificates and Authorization; the others only requests without.
type cors struct {
	credentialed, plain []originPattern
	anyHeader           bool
	allowed             map[string]bool // header names in canonical form
	exposed             []string
}

// originPattern is an origin with at most one *, which stands for part of the host.
type originPattern struct {
	before, after string
	glob          bool
}

func parseOrigin(s string) (originPattern, error) {
	if s == "*" {
		return originPattern{glob: true}, nil
	}
	before, after, glob := strings.Cut(s, "*")
	scheme, host, ok := strings.Cut(s, "://")
	if !ok || scheme == "" || host == "" || strings.ContainsAny(host, "/ ") || strings.Contains(after, "*") {
		return originPattern{}, fmt.Errorf("CORS origin %q must look like https://app.example.com or https://*.example.com", s)
	}
	return originPattern{strings.ToLower(before), strings.ToLower(after), glob}, nil
}

func (p originPattern) match(origin string) bool {
	if !p.glob {
		return origin == p.before
	}
	if len(origin) <= len(p.before)+len(p.after) || !strings.HasPrefix(origin, p.before) || !strings.HasSuffix(origin, p.after) {
		return false
	}
	if p.before == "" && p.after == "" {
		return true
	}
	between := origin[len(p.before) : len(origin)-len(p.after)]
	return !strings.ContainsAny(between, "/:@?#")
}

func newCORS(app registry.CORS, extra []string, endpoints []*registry.Endpoint, auth *authenticator) (*cors, error) {
	c := &cors{allowed: map[string]bool{}, exposed: []string{"X-Request-Id", "X-Correlation-Id"}}
	for _, o := range slices.Concat(app.AllowOriginsWithCredentials, extra) {
		if o == "*" {
			return nil, fmt.Errorf("CORS: every origin with credentials would let any site act for its visitors; name the origins")
		}
		p, err := parseOrigin(o)
		if err != nil {
			return nil, err
		}
		c.credentialed = append(c.credentialed, p)
	}
	plain := app.AllowOriginsWithoutCredentials
	if plain == nil {
		plain = []string{"*"}
	}
	for _, o := range plain {
		p, err := parseOrigin(o)
		if err != nil {
			return nil, err
		}
		c.plain = append(c.plain, p)
	}
	for _, name := range slices.Concat([]string{"Authorization", "Content-Type", "User-Agent", "X-Request-Id", "X-Correlation-Id", "Traceparent"}, app.AllowHeaders) {
		c.anyHeader = c.anyHeader || name == "*"
		c.allowed[http.CanonicalHeaderKey(name)] = true
	}
	c.exposed = append(c.exposed, app.ExposeHeaders...)
	for _, e := range endpoints {
		for _, name := range headerTags(e.Request) {
			c.allowed[name] = true
		}
		c.exposed = append(c.exposed, headerTags(e.Response)...)
	}
	if auth != nil && auth.Params != nil {
		for _, name := range headerTags(auth.Params) {
			c.allowed[name] = true
		}
	}
	slices.Sort(c.exposed)
	c.exposed = slices.Compact(c.exposed)
	return c, nil
}

func headerTags(t reflect.Type) (names []string) {
	if t == nil {
		return nil
	}
	for i := range t.NumField() {
		if name, ok, _ := tagName(t.Field(i).Tag, "header"); ok {
			names = append(names, http.CanonicalHeaderKey(name))
		}
	}
	return names
}

func matches(list []originPattern, origin string) bool {
	origin = strings.ToLower(origin)
	return slices.ContainsFunc(list, func(p originPattern) bool { return p.match(origin) })
}

// methods are the ones that an endpoint can have.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// serve sets the headers that the request's origin is due. It is true if the request was a
// preflight, which is answered then.
func (c *cors) serve(w http.ResponseWriter, r *http.Request, origin string) (done bool) {
	h := w.Header()
	h.Add("Vary", "Origin")
	method := first(r.Header, "Access-Control-Request-Method")
	if r.Method != http.MethodOptions || method == "" {
		if c.grant(h, origin, first(r.Header, "Authorization") != "" || first(r.Header, "Cookie") != "") {
			h["Access-Control-Expose-Headers"] = []string{strings.Join(c.exposed, ", ")}
		}
		return false
	}
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	asked := first(r.Header, "Access-Control-Request-Headers")
	if slices.Contains(methods, method) && c.headersAllowed(asked) && c.grant(h, origin, asksForCredentials(asked)) {
		h["Access-Control-Allow-Methods"] = []string{method}
		if asked != "" {
			h["Access-Control-Allow-Headers"] = []string{asked}
		}
		h["Access-Control-Max-Age"] = []string{preflightAge}
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// grant allows the origin, if it may call with or without credentials as it wants to.
func (c *cors) grant(h http.Header, origin string, credentials bool) bool {
	switch {
	case matches(c.credentialed, origin):
		h["Access-Control-Allow-Credentials"] = []string{"true"}
	case credentials || !matches(c.plain, origin):
		return false
	}
	h["Access-Control-Allow-Origin"] = []string{origin}
	return true
}

func asksForCredentials(headers string) bool {
	for name := range strings.SplitSeq(headers, ",") {
		if n := strings.TrimSpace(name); strings.EqualFold(n, "authorization") || strings.EqualFold(n, "cookie") {
			return true
		}
	}
	return false
}

func (c *cors) headersAllowed(headers string) bool {
	if headers == "" || c.anyHeader {
		return true
	}
	for name := range strings.SplitSeq(headers, ",") {
		if !c.allowed[http.CanonicalHeaderKey(strings.TrimSpace(name))] {
			return false
		}
	}
	return true
}
