package app

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"

	"encore.app/infra/host/internal/wrap"
)

// function is a function of the app with its body.
type function struct {
	pkg  *Package
	decl *ast.FuncDecl
}

// Reach is what the code of an endpoint names: its own body, and the functions of its package, and of
// the one that its answer is from, that it calls, directly or not.
type Reach struct {
	Constants []*types.Const
	Strings   []string
	Queries   []string // parameters that url.Values are asked for
}

// Reach walks the code of e.
func (a *App) Reach(e *Endpoint) Reach {
	var out Reach
	within := []*types.Package{e.Service.Pkg.Types}
	if e.Response != nil {
		within = append(within, e.Response.Type.Obj().Pkg())
	}
	seen := map[*types.Func]bool{}
	next := []*types.Func{a.entry(e)}
	for len(next) > 0 {
		fn := next[0]
		next = next[1:]
		f, ok := a.function(fn)
		if !ok || seen[fn] || !slices.Contains(within, f.pkg.Types) {
			continue
		}
		seen[fn] = true
		ast.Inspect(f.decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if n.Kind == token.STRING {
					text, _ := strconv.Unquote(n.Value)
					out.Strings = append(out.Strings, text)
				}
			case *ast.CallExpr:
				if name, ok := queryOf(f.pkg, n); ok && !slices.Contains(out.Queries, name) {
					out.Queries = append(out.Queries, name)
				}
			case *ast.Ident:
				switch obj := f.pkg.Info.Uses[n].(type) {
				case *types.Const:
					out.Constants = append(out.Constants, obj)
				case *types.Func:
					next = append(next, obj.Origin())
				}
			}
			return true
		})
	}
	return out
}

// queryOf is the parameter that a call of url.Values.Get with a literal asks for.
func queryOf(p *Package, call *ast.CallExpr) (string, bool) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Get" || len(call.Args) != 1 || !isNamed(p.Info.TypeOf(sel.X), "net/url", "Values") {
		return "", false
	}
	text, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return "", false
	}
	name, err := strconv.Unquote(text.Value)
	return name, err == nil
}

// entry is the function that carries e's directive.
func (a *App) entry(e *Endpoint) *types.Func {
	pkg := e.Service.Pkg.Types
	if e.Method {
		m, _, _ := types.LookupFieldOrMethod(types.NewPointer(e.Service.Struct.Type()), true, pkg, e.Name)
		fn, _ := m.(*types.Func)
		return fn
	}
	if fn, ok := pkg.Scope().Lookup(wrap.ImplName(e.Name)).(*types.Func); ok {
		return fn
	}
	fn, _ := pkg.Scope().Lookup(e.Name).(*types.Func)
	return fn
}

func (a *App) function(fn *types.Func) (function, bool) {
	if a.functions == nil {
		a.functions = map[*types.Func]function{}
		for _, p := range a.Packages {
			for _, f := range p.AST {
				for _, d := range f.Decls {
					if decl, ok := d.(*ast.FuncDecl); ok {
						if obj, ok := p.Info.Defs[decl.Name].(*types.Func); ok {
							a.functions[obj] = function{p, decl}
						}
					}
				}
			}
		}
	}
	f, ok := a.functions[fn]
	return f, ok
}

// Below is the app's package at a path below the root, or nil.
func (a *App) Below(path string) *Package {
	for _, p := range a.Packages {
		if p.Rel == path {
			return p
		}
	}
	return nil
}

// Doc is the comment of a package-level name of p, without what follows its first paragraph.
func (p *Package) Doc(name string) string {
	for _, f := range p.AST {
		for _, d := range f.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				ts, ok := spec.(*ast.TypeSpec)
				if !ok || ts.Name.Name != name {
					continue
				}
				doc := ts.Doc
				if doc == nil {
					doc = gen.Doc
				}
				first, _, _ := strings.Cut(doc.Text(), "\n\n")
				return strings.TrimSpace(first)
			}
		}
	}
	return ""
}
