package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"encore.app/infra/host/internal/source"
	"encore.app/infra/host/internal/workspace"
	"encore.app/infra/host/internal/wrap"
)

// typecheck gives every package of the tree its types. The app's own packages are checked from
// source, because their wrappers exist only here; all others come as export data from the go
// command, which keeps them in its build cache.
func typecheck(t *source.Tree, ws *workspace.Workspace) ([]*Package, error) {
	exports, err := exportData(t, ws)
	if err != nil {
		return nil, err
	}
	l := &loader{tree: t, byPath: map[string]*Package{}, loading: map[string]bool{}}
	l.external = importer.ForCompiler(t.Fset, "gc", func(path string) (io.ReadCloser, error) {
		file := exports[path].Export
		if file == "" {
			return nil, fmt.Errorf("package %s is not available: %s", path, exports[path].reason())
		}
		return os.Open(file)
	})
	var out []*Package
	for _, p := range t.Packages {
		if p.Name == "" {
			continue
		}
		pkg, err := l.check(p)
		if err != nil {
			return nil, err
		}
		out = append(out, pkg)
	}
	return out, nil
}

// listed is what go list says about a dependency.
type listed struct {
	ImportPath string
	Export     string
	Error      *struct{ Err string }
	DepsErrors []struct{ Err string }
}

func (l listed) reason() string {
	switch {
	case l.Error != nil:
		return strings.TrimSpace(l.Error.Err)
	case len(l.DepsErrors) > 0:
		return strings.TrimSpace(l.DepsErrors[0].Err)
	default:
		return "it did not compile"
	}
}

// exportData compiles what the app imports from elsewhere.
func exportData(t *source.Tree, ws *workspace.Workspace) (map[string]listed, error) {
	paths := map[string]bool{"encore.dev/host": true, "context": true}
	for _, p := range t.Packages {
		for _, f := range p.Files {
			if f.Test {
				continue
			}
			for _, spec := range f.AST.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				if err == nil && path != "unsafe" && path != "C" && t.ByPath(path) == nil {
					paths[path] = true
				}
			}
		}
	}
	args := []string{"list", "-e", "-export", "-deps", "-json=ImportPath,Export,Error,DepsErrors"}
	if len(ws.Tags) > 0 {
		args = append(args, "-tags", strings.Join(ws.Tags, ","))
	}
	list := make([]string, 0, len(paths))
	for p := range paths {
		list = append(list, p)
	}
	slices.Sort(list)
	cmd := ws.Go(append(append(args, "--"), list...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	data, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.String())
	}
	out := map[string]listed{}
	for dec := json.NewDecoder(bytes.NewReader(data)); ; {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if l.Export == "" && l.Error == nil && stderr.Len() > 0 {
			l.Error = &struct{ Err string }{stderr.String()}
		}
		out[l.ImportPath] = l
	}
}

// loader is the importer of the app's own packages.
type loader struct {
	tree     *source.Tree
	external types.Importer
	byPath   map[string]*Package
	loading  map[string]bool
}

func (l *loader) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	p := l.tree.ByPath(path)
	if p == nil {
		return l.external.Import(path)
	}
	if l.loading[path] {
		return nil, fmt.Errorf("import cycle through %s", path)
	}
	pkg, err := l.check(p)
	if err != nil {
		return nil, err
	}
	return pkg.Types, nil
}

func (l *loader) check(p *source.Package) (*Package, error) {
	if pkg, ok := l.byPath[p.Path]; ok {
		return pkg, nil
	}
	l.loading[p.Path] = true
	defer delete(l.loading, p.Path)

	pkg := &Package{Package: p, Info: &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{},
		Defs:  map[*ast.Ident]types.Object{},
		Uses:  map[*ast.Ident]types.Object{},
	}}
	for _, f := range p.Files {
		if f.Test {
			continue
		}
		file := f.AST
		if renamed := wrap.Rename(l.tree, p, f); renamed != nil {
			var err error
			if file, err = parser.ParseFile(l.tree.Fset, f.Path, renamed, parser.ParseComments|parser.SkipObjectResolution); err != nil {
				return nil, err
			}
		}
		pkg.AST = append(pkg.AST, file)
	}
	gen, err := wrap.File(l.tree, p, wrap.Runtime)
	if err != nil {
		return nil, err
	}
	genPath := filepath.Join(p.Dir, source.GeneratedFile)
	if gen != nil {
		file, err := parser.ParseFile(l.tree.Fset, genPath, gen, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		pkg.AST = append(pkg.AST, file)
	}
	var inGenerated []types.Error
	reported := false
	conf := types.Config{
		Importer: l,
		Sizes:    types.SizesFor("gc", runtime.GOARCH),
		Error: func(err error) {
			var te types.Error
			if !errors.As(err, &te) {
				return
			}
			if l.tree.Fset.Position(te.Pos).Filename == genPath {
				inGenerated = append(inGenerated, te)
				return
			}
			reported = true
			l.report(pkg, te)
		},
	}
	pkg.Types, _ = conf.Check(p.Path, l.tree.Fset, pkg.AST, pkg.Info)
	if !reported {
		for _, te := range inGenerated {
			l.report(pkg, te)
		}
	}
	l.byPath[p.Path] = pkg
	return pkg, nil
}

// report turns a type error into a finding; one about encore.dev is worded as what it is, an API
// that the host does not have.
func (l *loader) report(pkg *Package, te types.Error) {
	if name := missingAPI(pkg, te.Pos); name != "" {
		l.tree.Diags.Addf(te.Pos, "%s is not provided by the stock-Go host: %s; do without it, or add it to the host's sdk", name, te.Msg)
		return
	}
	l.tree.Diags.Addf(te.Pos, "%s", te.Msg)
}

// missingAPI names the encore.dev symbol that a type error at pos is about, or "".
func missingAPI(pkg *Package, pos token.Pos) string {
	for _, f := range pkg.AST {
		if pos < f.FileStart || pos > f.FileEnd {
			continue
		}
		var found string
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Pos() != pos && sel.Pos() != pos {
				return true
			}
			if _, known := pkg.Info.Uses[sel.Sel]; known {
				return true
			}
			if t := pkg.Info.TypeOf(sel.X); t != nil {
				if ptr, ok := t.(*types.Pointer); ok {
					t = ptr.Elem()
				}
				if n, ok := t.(*types.Named); ok && n.Obj().Pkg() != nil && isEncore(n.Obj().Pkg().Path()) {
					found = n.Obj().Pkg().Path() + "." + n.Obj().Name() + "." + sel.Sel.Name
				}
			}
			return true
		})
		return found
	}
	return ""
}

func isEncore(path string) bool {
	return path == "encore.dev" || strings.HasPrefix(path, "encore.dev/")
}
