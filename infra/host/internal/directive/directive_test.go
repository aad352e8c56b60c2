package directive

import (
	"go/ast"
	"reflect"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	path := func(s string) Path {
		p, err := ParsePath(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	tests := []struct {
		text string
		want Directive
	}{
		{"//encore:api", Directive{Kind: API, Access: Private}},
		{"// encore:api public", Directive{Kind: API, Access: Public}},
		{"//encore:api auth raw sensitive method=GET,POST path=/a/:b/*c tag:x tag:y-1",
			Directive{Kind: API, Access: Auth, Raw: true, Sensitive: true, Methods: []string{"GET", "POST"}, Path: path("/a/:b/*c"), Tags: []string{"x", "y-1"}}},
		{"//encore:service", Directive{Kind: Service}},
		{"//encore:authhandler", Directive{Kind: AuthHandler}},
		{"//encore:middleware global target=all", Directive{Kind: Middleware, Global: true, TargetAll: true}},
		{"//encore:middleware target=tag:a,tag:b", Directive{Kind: Middleware, TargetTags: []string{"a", "b"}}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			c := &ast.Comment{Text: tt.text}
			if !Is(c) {
				t.Fatal("not seen as a directive")
			}
			got, err := Parse(c)
			if err != nil {
				t.Fatal(err)
			}
			got.Pos = 0
			if !reflect.DeepEqual(*got, tt.want) {
				t.Errorf("got %+v, want %+v", *got, tt.want)
			}
		})
	}
	for _, text := range []string{"// an encore:api comment", "// encore: is a framework", "//go:build x"} {
		if Is(&ast.Comment{Text: text}) {
			t.Errorf("%q is taken for a directive", text)
		}
	}
}

func TestConflict(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b     string
		conflict bool
	}{
		{"/a", "/b", false},
		{"/a", "/a", true},
		{"/a", "/a/b", false},
		{"/a/:x", "/a/b", true},
		{"/a/:x", "/a/:y", true},
		{"/a/:x/c", "/a/:y/d", false},
		{"/a/:x/c", "/a/b/d", true}, // the clash is at the position, whatever follows
		{"/a/*x", "/a/b", true},
		{"/a/*x", "/a/:b", true},
		{"/a/*x", "/a/*y", true},
		{"/a/*x", "/a", false},
		{"/a/*x", "/b/c", false},
		{"/!x", "/a", false},
		{"/!x", "/:a", false},
		{"/!x", "/!y", true},
		{"/a/!x", "/!y", false},
		{"/a/!x", "/b/!x", false},
	}
	for _, tt := range tests {
		t.Run(tt.a+" "+tt.b, func(t *testing.T) {
			t.Parallel()
			a, errA := ParsePath(tt.a)
			b, errB := ParsePath(tt.b)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			for _, why := range []string{Conflict(a, b), Conflict(b, a)} {
				if (why != "") != tt.conflict {
					t.Errorf("conflict %q, want one: %t", why, tt.conflict)
				}
			}
		})
	}
}

func TestSharesMethod(t *testing.T) {
	t.Parallel()
	get, both, any := []string{"GET"}, []string{"GET", "POST"}, []string{"*"}
	post := []string{"POST"}
	if SharesMethod(get, post) || !SharesMethod(get, both) || !SharesMethod(any, post) || !SharesMethod(post, any) {
		t.Error("methods are compared wrongly")
	}
}

// FuzzParsePath holds that what parses prints as it was.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"/a/:b/*c", "/!x", "/", "a", "/a//b", "/:a/:a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePath(s)
		if err == nil && p.String() != s {
			t.Errorf("%q became %q", s, p.String())
		}
	})
}
