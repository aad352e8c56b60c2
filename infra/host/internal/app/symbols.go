package app

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"encore.app/infra/host/internal/source"
	"encore.app/infra/host/internal/workspace"
)

// checkSymbols refuses every package and package-level symbol of encore.dev that the app names,
// tests included, and the host's sdk does not declare.
func checkSymbols(t *source.Tree, ws *workspace.Workspace) {
	known := map[string]map[string]bool{} // import path → exported names; nil: no such package
	for _, p := range t.Packages {
		for _, f := range p.Files {
			for _, spec := range f.AST.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				if err != nil || !isEncore(path) {
					continue
				}
				if _, done := known[path]; !done {
					known[path] = exported(ws, path)
				}
				if known[path] == nil || path == "encore.dev/host" || strings.Contains(path, "/internal") {
					t.Diags.Addf(spec.Pos(), "%s is not provided by the stock-Go host; do without the package, or add it to the host's sdk", path)
					continue
				}
				name := source.BaseName(path)
				if spec.Name != nil {
					name = spec.Name.Name
				}
				checkSelectors(t, f, name, path, known[path])
			}
		}
	}
}

func checkSelectors(t *source.Tree, f *source.File, name, path string, known map[string]bool) {
	// Only selectors on names that are not shadowed at file level can be told apart without
	// types; a local variable of the package's name has other selectors, lower case or methods,
	// and declares itself in the function.
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if fn, ok := n.(*ast.FuncDecl); ok && declares(fn, name) {
			return false
		}
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && id.Name == name && !known[sel.Sel.Name] {
			t.Diags.Addf(sel.Pos(), "%s.%s is not provided by the stock-Go host; do without it, or add it to the host's sdk", path, sel.Sel.Name)
		}
		return true
	})
}

// declares reports whether fn has a parameter or variable called name.
func declares(fn *ast.FuncDecl, name string) bool {
	found := false
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, id := range n.Names {
				found = found || id.Name == name
			}
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					found = found || id.Name == name
				}
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				found = found || id.Name == name
			}
		}
		return true
	})
	return found
}

// Provides reports whether the host's sdk declares a symbol.
func Provides(ws *workspace.Workspace, path, symbol string) bool { return exported(ws, path)[symbol] }

// exported lists what the sdk's package declares, or nil if there is none.
func exported(ws *workspace.Workspace, path string) map[string]bool {
	dir := filepath.Join(ws.SDK, filepath.FromSlash(strings.TrimPrefix(path, "encore.dev")))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	p := &source.Package{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		// A file that does not parse is the compiler's to report.
		if f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.SkipObjectResolution); err == nil {
			p.Files = append(p.Files, &source.File{AST: f})
		}
	}
	if len(p.Files) == 0 {
		return nil
	}
	names := p.Names()
	for n := range names {
		if !ast.IsExported(n) {
			delete(names, n)
		}
	}
	return names
}
