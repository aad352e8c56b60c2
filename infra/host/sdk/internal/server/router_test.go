//go:build stockhost

package server

import (
	"slices"
	"strings"
	"testing"

	"encore.dev/internal/registry"
)

func TestRouterFinds(t *testing.T) {
	t.Parallel()
	var r router[string]
	for _, route := range []string{
		"GET /users", "POST /users", "GET /users/:id", "POST /users/me", "GET /users/:id/keys/:key",
		"DELETE /users/:uid/sessions", "GET /files/*path", "GET /!root", "GET /deep/!near", "* /any/:x",
	} {
		method, path, _ := strings.Cut(route, " ")
		if err := r.add([]string{method}, path, route); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		method, path, want string
		values             []string
	}{
		{"GET", "/users", "GET /users", nil},
		{"POST", "/users", "POST /users", nil},
		{"GET", "/users/7", "GET /users/:id", []string{"7"}},
		{"GET", "/users/me", "GET /users/:id", []string{"me"}}, // the literal has only POST
		{"POST", "/users/me", "POST /users/me", nil},
		{"GET", "/users/7/keys/8", "GET /users/:id/keys/:key", []string{"7", "8"}},
		{"DELETE", "/users/7/sessions", "DELETE /users/:uid/sessions", []string{"7"}},
		{"GET", "/users/a%2Fb", "GET /users/:id", []string{"a/b"}},
		{"GET", "/users/%C3%A9", "GET /users/:id", []string{"é"}},
		{"GET", "/files/a/b.txt", "GET /files/*path", []string{"a/b.txt"}},
		{"GET", "/files/", "GET /files/*path", []string{""}},
		{"GET", "/", "GET /!root", []string{""}},
		{"GET", "/nowhere/at/all", "GET /!root", []string{"nowhere/at/all"}},
		{"GET", "/deep/x/y", "GET /deep/!near", []string{"x/y"}},
		{"GET", "/users//keys/8", "GET /!root", []string{"users//keys/8"}},
		{"PATCH", "/any/thing", "* /any/:x", []string{"thing"}},
		{"HEAD", "/any/thing", "* /any/:x", []string{"thing"}},
	} {
		var m match[string]
		r.find(tc.method, tc.path, &m)
		if !m.found || m.to != tc.want || !slices.Equal(m.values[:m.n], tc.values) {
			t.Errorf("%s %s: %q %q, want %q %q", tc.method, tc.path, m.to, m.values[:m.n], tc.want, tc.values)
		}
	}
}

func TestRouterTellsMethods(t *testing.T) {
	t.Parallel()
	var r router[string]
	for _, m := range []string{"GET", "PUT"} {
		if err := r.add([]string{m}, "/a/:b", m); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.add([]string{"POST"}, "/a/c", "POST"); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/a/x": "GET PUT", "/a/c": "GET POST PUT", "/a": "", "/a/x/y": "", "/a/%zz": "", "x": ""} {
		var m match[string]
		r.find("HEAD", path, &m)
		if got := strings.Join(m.allow, " "); m.found || got != want {
			t.Errorf("%s: found %v, allow %q, want %q", path, m.found, got, want)
		}
	}
}

func TestRouterRefuses(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/", "a", "/a/", "//a", "/:", "/*", "/*a/b", "/!a/b", "/:1/:2/:3/:4/:5/:6/:7/:8/:9"} {
		if err := new(router[int]).add([]string{"GET"}, path, 1); err == nil {
			t.Errorf("%q was taken", path)
		}
	}
	var r router[int]
	_ = r.add([]string{"GET"}, "/a/:b", 1)
	if err := r.add([]string{"POST", "GET"}, "/a/:c", 2); err == nil {
		t.Error("the same path was taken twice")
	}
}

func FuzzRouter(f *testing.F) {
	for _, seed := range []string{"/a/b", "//", "/%2f", "/a/%", "/files/..%2f", "", "\x00", "/a//b/"} {
		f.Add(seed)
	}
	var r router[string]
	for _, path := range []string{"/a", "/a/:b", "/a/:b/c", "/files/*rest", "/!all"} {
		if err := r.add([]string{"GET"}, path, path); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, path string) {
		var m match[string]
		r.find("GET", path, &m)
		if m.found && m.n > maxParams {
			t.Errorf("%q: %d values", path, m.n)
		}
		var other match[string]
		r.find("POST", path, &other)
		if other.found {
			t.Errorf("%q: found for a method that nothing has", path)
		}
	})
}

func TestRoutingOverHTTP(t *testing.T) {
	t.Parallel()
	a := newApp(t,
		raw("GET,PUT", "/things/:id", echoPath),
		raw("POST", "/things", echoPath),
		raw("GET", "/hidden", echoPath, access(registry.Private)),
	)
	for _, tc := range []struct {
		method, url    string
		status         int
		reason, header string
	}{
		{"GET", "/things/1", 200, "", ""},
		{"POST", "/things", 200, "", ""},
		{"HEAD", "/things/1", 405, reasonMethod, "Allow: GET, PUT"},
		{"DELETE", "/things", 405, reasonMethod, "Allow: POST"},
		{"OPTIONS", "/things", 405, reasonMethod, "Allow: POST"},
		{"GET", "/nothing", 404, reasonNotFound, ""},
		{"GET", "/hidden", 404, reasonNotFound, ""},
		{"DELETE", "/hidden", 404, reasonNotFound, ""},
		{"GET", "/things/1/", 301, "", "Location: /things/1"},
		{"PUT", "/things/1/?a=b", 308, "", "Location: /things/1?a=b"},
		{"POST", "//evil.example/things/", 404, reasonNotFound, ""},
		{"GET", "/things//", 404, reasonNotFound, ""},
	} {
		got := a.do(tc.method, tc.url, "")
		if got.status != tc.status {
			t.Errorf("%s %s: %d %s, want %d", tc.method, tc.url, got.status, got.body, tc.status)
			continue
		}
		if tc.reason != "" {
			e := got.errorBody(t)
			if e.Details.Reason != tc.reason || e.Details.RequestID == "" || e.Details.RequestID != got.header.Get("X-Request-ID") {
				t.Errorf("%s %s: %s", tc.method, tc.url, got.body)
			}
		}
		if name, want, _ := strings.Cut(tc.header, ": "); got.header.Get(name) != want && name != "" {
			t.Errorf("%s %s: %s is %q, want %q", tc.method, tc.url, name, got.header.Get(name), want)
		}
	}
}
