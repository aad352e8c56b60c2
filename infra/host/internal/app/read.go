package app

import (
	"fmt"
	"go/token"
	"go/types"
	"sort"
	"strings"

	"encore.app/infra/host/internal/directive"
	"encore.app/infra/host/internal/manifest"
	"encore.app/infra/host/internal/source"
	"encore.app/infra/host/internal/workspace"
)

// Read reads the app in ws. An error that is a *diag.Error lists what is wrong with the app.
func Read(ws *workspace.Workspace) (*App, *source.Tree, error) {
	m, err := manifest.Read(ws.Root)
	if err != nil {
		return nil, nil, err
	}
	t, err := source.Read(ws.Root, ws.Tags)
	if err != nil {
		return nil, nil, err
	}
	checkSymbols(t, ws)
	if err := t.Diags.Err(); err != nil {
		return nil, nil, err
	}
	pkgs, err := typecheck(t, ws)
	if err != nil {
		return nil, nil, err
	}
	if err := t.Diags.Err(); err != nil {
		return nil, nil, err
	}
	a := &App{
		Root: ws.Root, Manifest: m, Packages: pkgs, tree: t, diags: t.Diags,
		endpoints: map[types.Object]*Endpoint{}, resources: map[types.Object]*Resource{},
	}
	a.readResources()
	a.readServices()
	a.readEndpoints()
	a.readMiddleware()
	a.checkResources()
	a.checkPaths()
	a.checkSecrets()
	a.checkUses()
	return a, t, t.Diags.Err()
}

// readServices finds the service packages: every package with a service directive, an endpoint,
// the auth handler or a subscription.
func (a *App) readServices() {
	for _, p := range a.Packages {
		s := &Service{Name: p.Name, Pkg: p, Doc: packageDoc(p)}
		is := false
		for _, d := range p.Decls {
			switch d.Kind {
			case directive.Service:
				is = true
				if s.structDecl != nil {
					a.diags.Addf(d.Pos, "second encore:service in package %s; a package is one service", p.Name)
					continue
				}
				s.structDecl = d
			case directive.API, directive.AuthHandler:
				is = true
			}
		}
		for _, r := range a.Resources {
			is = is || r.Pkg == p && r.Kind == Subscription
		}
		if is {
			a.readStruct(s)
			a.Services = append(a.Services, s)
		}
	}
	byName := map[string]*Service{}
	for _, s := range a.Services {
		if other := byName[s.Name]; other != nil {
			a.diags.Addf(s.Pkg.AST[0].Name.Pos(), "service name %s is taken by %s; service packages need names of their own", s.Name, other.Pkg.Rel)
		}
		byName[s.Name] = s
		for _, outer := range a.Services {
			if outer != s && within(s.Pkg, outer.Pkg) {
				a.diags.Addf(s.Pkg.AST[0].Name.Pos(), "service %s lies inside service %s; services cannot nest, move it beside", s.Name, outer.Name)
			}
		}
	}
}

// within reports whether p is outer or below it.
func within(p, outer *Package) bool {
	return p == outer || outer.Rel == "." || strings.HasPrefix(p.Rel, outer.Rel+"/")
}

// ServiceOf is the service that p belongs to, or nil.
func (a *App) ServiceOf(p *Package) *Service {
	for _, s := range a.Services {
		if within(p, s.Pkg) {
			return s
		}
	}
	return nil
}

func packageDoc(p *Package) string {
	for _, f := range p.AST {
		if doc := f.Doc.Text(); doc != "" {
			return strings.TrimSpace(doc)
		}
	}
	return ""
}

// readStruct checks the service struct with its constructor and Shutdown method.
func (a *App) readStruct(s *Service) {
	d := s.structDecl
	if d == nil {
		return
	}
	obj, ok := s.Pkg.Types.Scope().Lookup(d.Type.Name.Name).(*types.TypeName)
	if !ok {
		return
	}
	if _, ok := obj.Type().Underlying().(*types.Struct); !ok || obj.IsAlias() {
		a.diags.Addf(d.Type.Pos(), "encore:service must stand on a struct type")
		return
	}
	named := obj.Type().(*types.Named)
	if named.TypeParams().Len() > 0 {
		a.diags.Addf(d.Type.Pos(), "a service struct cannot have type parameters")
		return
	}
	s.Struct = obj
	if init, ok := s.Pkg.Types.Scope().Lookup("init" + obj.Name()).(*types.Func); ok {
		s.HasInit = true
		sig := init.Signature()
		if sig.Params().Len() != 0 || sig.Results().Len() != 2 ||
			!types.Identical(sig.Results().At(0).Type(), types.NewPointer(named)) || !isError(sig.Results().At(1).Type()) {
			a.diags.Addf(init.Pos(), "%s has the wrong signature; want func() (*%s, error)", init.Name(), obj.Name())
		}
	}
	m, _, _ := types.LookupFieldOrMethod(types.NewPointer(named), true, s.Pkg.Types, "Shutdown")
	if shutdown, ok := m.(*types.Func); ok {
		sig := shutdown.Signature()
		switch {
		case sig.Params().Len() == 1 && isNamed(sig.Params().At(0).Type(), "context", "Context") && sig.Results().Len() == 0:
			s.Shutdown = ShutdownContext
		case sig.Params().Len() == 1 && isNamed(sig.Params().At(0).Type(), "encore.dev/shutdown", "Progress") &&
			sig.Results().Len() == 1 && isError(sig.Results().At(0).Type()):
			s.Shutdown = ShutdownProgress
		default:
			a.diags.Addf(shutdown.Pos(), "Shutdown has the wrong signature; want (shutdown.Progress) error or (context.Context)")
		}
	}
}

// readMiddleware collects middleware in the order in which it runs.
func (a *App) readMiddleware() {
	tags := map[string]bool{}
	for _, s := range a.Services {
		for _, e := range s.Endpoints {
			for _, t := range e.Tags {
				tags[t] = true
			}
		}
	}
	for _, p := range a.Packages {
		for _, d := range p.Decls {
			if d.Kind != directive.Middleware {
				continue
			}
			m := &Middleware{Name: d.Func.Name.Name, Pkg: p, Service: a.ServiceOf(p), Global: d.Global, Method: d.Receiver() != "", Tags: d.TargetTags, decl: d}
			switch {
			case m.Global && m.Service != nil:
				a.diags.Addf(d.Pos, "global middleware inside service %s; move it to a package outside every service", m.Service.Name)
			case !m.Global && (m.Service == nil || m.Service.Pkg != p):
				a.diags.Addf(d.Pos, "service middleware outside a service; move it into its service, or make it global")
			case m.Global && m.Method:
				a.diags.Addf(d.Pos, "global middleware cannot be a method; make it a function")
			}
			if m.Global {
				m.Service = nil
			}
			for _, t := range m.Tags {
				if !tags[t] {
					a.diags.Addf(d.Pos, "middleware targets tag:%s, which no endpoint has; correct the tag or remove it", t)
				}
			}
			if sig := a.signature(m.Service, p, d, false); sig != nil && !isMiddleware(sig) {
				a.diags.Addf(d.Func.Pos(), "%s has the wrong signature; want func(middleware.Request, middleware.Next) middleware.Response", m.Name)
			}
			a.Middleware = append(a.Middleware, m)
		}
	}
	// Packages, files and declarations are in order already; only globals must move to the front.
	sort.SliceStable(a.Middleware, func(i, j int) bool { return a.Middleware[i].Global && !a.Middleware[j].Global })
	for i, m := range a.Middleware {
		m.Order = i
	}
}

func isMiddleware(sig *types.Signature) bool {
	const pkg = "encore.dev/middleware"
	return sig.Params().Len() == 2 && sig.Results().Len() == 1 &&
		isNamed(sig.Params().At(0).Type(), pkg, "Request") && isNamed(sig.Params().At(1).Type(), pkg, "Next") &&
		isNamed(sig.Results().At(0).Type(), pkg, "Response")
}

func isError(t types.Type) bool { return types.Identical(t, types.Universe.Lookup("error").Type()) }

// position is file:line for messages and logs of the running app.
func (a *App) position(d *source.Decl) string {
	p := a.diags.Position(d.Func.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// Module is the app's module path.
func (a *App) Module() string { return a.tree.Module.Module.Mod.Path }

// Summary counts what the app has, for the host's check.
func (a *App) Summary() string {
	n := 0
	for _, s := range a.Services {
		n += len(s.Endpoints)
	}
	return fmt.Sprintf("%d services, %d endpoints, %d middleware, %d resources", len(a.Services), n, len(a.Middleware), len(a.Resources))
}

// FieldDoc is the comment of the struct field at pos, "" for a type from outside the app.
func (a *App) FieldDoc(pos token.Pos) string {
	for _, p := range a.Packages {
		if doc := fieldDoc(p.AST, pos); doc != "" {
			return doc
		}
	}
	return ""
}
