package source

import (
	"go/ast"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Names is every identifier that the package's files declare at package level or import under,
// test files included: a generated file must not use them for something else.
func (p *Package) Names() map[string]bool {
	names := map[string]bool{}
	for _, f := range p.Files {
		for _, d := range f.AST.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					names[d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						names[s.Name.Name] = true
					case *ast.ValueSpec:
						for _, n := range s.Names {
							names[n.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}

// ByPath finds a package of the app.
func (t *Tree) ByPath(importPath string) *Package {
	for _, p := range t.Packages {
		if p.Path == importPath {
			return p
		}
	}
	return nil
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// BaseName guesses the package name from an import path, as goimports does.
func BaseName(importPath string) string {
	base := path.Base(importPath)
	if majorVersion.MatchString(base) {
		base = path.Base(path.Dir(importPath))
	}
	base, _, _ = strings.Cut(base, ".")
	base = strings.TrimPrefix(base, "go-")
	return strings.ReplaceAll(base, "-", "")
}

// ImportPath resolves a package name as a file uses it to the import path, or "".
func (t *Tree) ImportPath(f *File, name string) string {
	for _, spec := range f.AST.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		switch {
		case spec.Name != nil:
			if spec.Name.Name == name {
				return p
			}
		case t.ByPath(p) != nil:
			if t.ByPath(p).Name == name {
				return p
			}
		case BaseName(p) == name:
			return p
		}
	}
	return ""
}
