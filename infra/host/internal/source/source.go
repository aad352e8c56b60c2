// Package source is the first of two passes over an app: it finds and parses
// the Go files below the root and the //encore: directives in them, without
// types. The wrappers that the second, typed pass needs are made from it.
package source

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"

	"encore.app/infra/host/internal/diag"
	"encore.app/infra/host/internal/directive"
)

// GeneratedFile is the name of the file that holds a service's wrappers; files
// of that name on disk are never read.
const GeneratedFile = "encore.gen.go"

// Tree is every Go package of the app's module.
type Tree struct {
	Root     string
	Module   *modfile.File
	Fset     *token.FileSet
	Packages []*Package // sorted by import path
	Stale    []string   // encore.gen.go files found on disk
	Diags    *diag.List
}

// Package is one directory of Go files.
type Package struct {
	Dir   string // absolute
	Rel   string // relative to the root, with slashes; "." is the root
	Path  string // import path
	Name  string
	Files []*File
	Decls []*Decl // what carries a directive, in file order
}

// File is one parsed file.
type File struct {
	Path string
	Test bool
	Src  []byte
	AST  *ast.File
}

// Decl is a declaration with a directive; either Func or Type is set.
type Decl struct {
	*directive.Directive
	Func *ast.FuncDecl
	Type *ast.TypeSpec
	File *File
	Doc  string
}

// Receiver is the name of the method's receiver type, or "" for a function.
func (d *Decl) Receiver() string {
	if d.Func == nil || d.Func.Recv == nil || len(d.Func.Recv.List) == 0 {
		return ""
	}
	t := d.Func.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// Read parses the app below root. Findings go to the tree's Diags; the error is
// for what keeps it from reading at all.
func Read(root string, tags []string) (*Tree, error) {
	data, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, fmt.Errorf("go.mod must sit beside encore.app: %w", err)
	}
	mod, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		return nil, err
	}
	if mod.Module == nil {
		return nil, fmt.Errorf("go.mod names no module")
	}
	t := &Tree{Root: root, Module: mod, Fset: token.NewFileSet()}
	t.Diags = diag.New(root, t.Fset)
	t.checkModule()

	ctx := build.Default
	ctx.BuildTags = tags
	err = filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !e.IsDir() {
			return nil
		}
		if p != root && t.skip(p, e.Name()) {
			return filepath.SkipDir
		}
		return t.readDir(&ctx, p)
	})
	return t, err
}

// skip says which directories are no part of the app's module: hidden ones, those the go
// command ignores, and nested modules.
func (t *Tree) skip(p, name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "node_modules" || name == "testdata" || name == "vendor" {
		return true
	}
	_, err := os.Stat(filepath.Join(p, "go.mod"))
	return err == nil
}

func (t *Tree) readDir(ctx *build.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(t.Root, dir)
	if err != nil {
		return err
	}
	p := &Package{Dir: dir, Rel: filepath.ToSlash(rel)}
	p.Path = path.Join(t.Module.Module.Mod.Path, p.Rel)
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || !strings.HasSuffix(name, ".go") {
			continue
		}
		if name == GeneratedFile {
			t.Stale = append(t.Stale, filepath.Join(dir, name))
			continue
		}
		if ok, err := ctx.MatchFile(dir, name); err != nil || !ok {
			continue
		}
		if err := t.readFile(p, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if p.Name == "" && len(p.Files) == 0 {
		return nil
	}
	if p.Name != "main" {
		for _, f := range p.Files {
			if !f.Test {
				t.readDirectives(p, f)
			}
		}
	}
	t.Packages = append(t.Packages, p)
	return nil
}

func (t *Tree) readFile(p *Package, name string) error {
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(t.Fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Diags.File(name, "does not parse: %v", err)
		return nil
	}
	file := &File{Path: name, Test: strings.HasSuffix(name, "_test.go"), Src: src, AST: f}
	if !file.Test && p.Name == "" {
		p.Name = f.Name.Name
	}
	p.Files = append(p.Files, file)
	return nil
}

// checkModule refuses what Encore's build does not support at the root.
func (t *Tree) checkModule() {
	for _, name := range []string{"go.work", "vendor"} {
		if _, err := os.Stat(filepath.Join(t.Root, name)); err == nil {
			t.Diags.File(filepath.Join(t.Root, name), "Encore does not support %s at the app root; remove it", name)
		}
	}
	for _, r := range t.Module.Replace {
		if r.Old.Path == "encore.dev" {
			t.Diags.At(token.Position{Filename: filepath.Join(t.Root, "go.mod"), Line: r.Syntax.Start.Line, Column: r.Syntax.Start.LineRune},
				"encore.dev must not be replaced in go.mod; the host's workspace substitutes it")
		}
	}
}

// readDirectives attaches each directive of a file to its declaration.
func (t *Tree) readDirectives(p *Package, f *File) {
	attached := map[*ast.Comment]bool{}
	for _, decl := range f.AST.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			t.attach(p, &Decl{Func: d, File: f}, d.Doc, attached)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				ts, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				doc := ts.Doc
				if doc == nil && !d.Lparen.IsValid() {
					doc = d.Doc
				}
				t.attach(p, &Decl{Type: ts, File: f}, doc, attached)
			}
		}
	}
	for _, group := range f.AST.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//encore:") && !attached[c] {
				t.Diags.Addf(c.Pos(), "directive belongs to no function or type; put it directly above its declaration, without an empty line")
			}
		}
	}
}

func (t *Tree) attach(p *Package, d *Decl, doc *ast.CommentGroup, attached map[*ast.Comment]bool) {
	if doc == nil {
		return
	}
	var text []string
	for _, c := range doc.List {
		if !directive.Is(c) {
			text = append(text, c.Text)
			continue
		}
		attached[c] = true
		parsed, err := directive.Parse(c)
		switch {
		case err != nil:
			t.Diags.Addf(c.Pos(), "%v", err)
		case d.Directive != nil:
			t.Diags.Addf(c.Pos(), "second encore directive on one declaration; keep one")
		case (parsed.Kind == directive.Service) != (d.Type != nil):
			t.Diags.Addf(c.Pos(), "encore:%s cannot stand here; encore:service goes on a struct type, the others on functions or methods", parsed.Kind)
		default:
			d.Directive = parsed
		}
	}
	if d.Directive != nil {
		d.Doc = docText(text)
		p.Decls = append(p.Decls, d)
	}
}

// docText is the doc comment's prose, without the directives.
func docText(lines []string) string {
	g := &ast.CommentGroup{}
	for _, l := range lines {
		g.List = append(g.List, &ast.Comment{Text: l})
	}
	if len(g.List) == 0 {
		return ""
	}
	return strings.TrimSpace(g.Text())
}
