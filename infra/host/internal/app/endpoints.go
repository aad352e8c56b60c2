package app

import (
	"go/token"
	"go/types"
	"slices"

	"encore.app/infra/host/internal/directive"
	"encore.app/infra/host/internal/source"
	"encore.app/infra/host/internal/wrap"
)

// signature looks up the function or service-struct method that carries d, or nil after a finding.
func (a *App) signature(s *Service, p *Package, d *source.Decl, renamed bool) *types.Signature {
	name := d.Func.Name.Name
	if d.Func.Type.TypeParams != nil {
		a.diags.Addf(d.Func.Pos(), "%s has type parameters; endpoints, auth handlers and middleware cannot", name)
		return nil
	}
	if d.Func.Recv == nil {
		fn, _ := p.Types.Scope().Lookup(name).(*types.Func)
		if renamed {
			// A signature too wrong for a wrapper has kept its name.
			if impl, ok := p.Types.Scope().Lookup(wrap.ImplName(name)).(*types.Func); ok {
				fn = impl
			}
		}
		if fn == nil {
			return nil
		}
		return fn.Signature()
	}
	if s == nil || s.Struct == nil || d.Receiver() != s.Struct.Name() {
		a.diags.Addf(d.Func.Pos(), "%s is a method of %s, which is no service struct; put encore:service on the type, or use a function", name, d.Receiver())
		return nil
	}
	m, _, _ := types.LookupFieldOrMethod(types.NewPointer(s.Struct.Type()), true, p.Types, name)
	fn, _ := m.(*types.Func)
	if fn == nil {
		return nil
	}
	return fn.Signature()
}

func (a *App) readEndpoints() {
	for _, s := range a.Services {
		for _, d := range s.Pkg.Decls {
			switch d.Kind {
			case directive.API:
				a.readEndpoint(s, d)
			case directive.AuthHandler:
				a.readAuthHandler(s, d)
			}
		}
	}
	for _, s := range a.Services {
		for _, e := range s.Endpoints {
			if e.Access == directive.Auth && a.Auth == nil {
				a.diags.Addf(e.decl.Pos, "endpoint %s needs a caller, but the app has no encore:authhandler; write one, or change the access", e.Name)
			}
		}
	}
}

func (a *App) readEndpoint(s *Service, d *source.Decl) {
	e := &Endpoint{
		Service: s, Name: d.Func.Name.Name, Doc: d.Doc, Position: a.position(d), Access: d.Access, Raw: d.Raw,
		Sensitive: d.Sensitive, Methods: d.Methods, Path: d.Path, Tags: d.Tags, Method: d.Receiver() != "", decl: d,
	}
	if e.Path == nil {
		e.Path = directive.Path{{Name: s.Name + "." + e.Name}}
	}
	for _, other := range s.Endpoints {
		if other.Name == e.Name {
			a.diags.Addf(d.Func.Pos(), "service %s has two endpoints named %s; rename one", s.Name, e.Name)
			return
		}
	}
	s.Endpoints = append(s.Endpoints, e)
	if obj := s.Pkg.Types.Scope().Lookup(e.Name); obj != nil {
		a.endpoints[obj] = e
	}
	plain := d.Func.Recv == nil && !d.Raw
	sig := a.signature(s, s.Pkg, d, plain)
	if sig == nil {
		return
	}
	if e.Raw {
		a.readRaw(e, sig)
		return
	}
	a.readTyped(e, sig)
}

func (a *App) readRaw(e *Endpoint, sig *types.Signature) {
	if len(e.Methods) == 0 {
		e.Methods = []string{"*"}
	}
	ok := sig.Params().Len() == 2 && sig.Results().Len() == 0 && isNamed(sig.Params().At(0).Type(), "net/http", "ResponseWriter")
	if ok {
		ptr, isPtr := sig.Params().At(1).Type().(*types.Pointer)
		ok = isPtr && isNamed(ptr.Elem(), "net/http", "Request")
	}
	if !ok {
		a.diags.Addf(e.decl.Func.Pos(), "raw endpoint %s has the wrong signature; want (http.ResponseWriter, *http.Request)", e.Name)
	}
	for _, seg := range e.Path.Params() {
		e.PathParams = append(e.PathParams, PathParam{Name: seg.Name, Kind: "string"})
	}
}

func (a *App) readTyped(e *Endpoint, sig *types.Signature) {
	pos := e.decl.Func.Pos()
	params, results := sig.Params(), sig.Results()
	segs := e.Path.Params()
	if params.Len() == 0 || !isNamed(params.At(0).Type(), "context", "Context") || sig.Variadic() ||
		results.Len() < 1 || results.Len() > 2 || !isError(results.At(results.Len()-1).Type()) {
		a.diags.Addf(pos, "endpoint %s has the wrong signature; want (context.Context, path parameters…, *Request) (*Response, error), request and response optional", e.Name)
		return
	}
	if got := params.Len() - 1; got != len(segs) && got != len(segs)+1 {
		a.diags.Addf(pos, "endpoint %s takes %d parameters after the context, but its path has %d; give each path parameter one of the same name, then at most one request", e.Name, got, len(segs))
		return
	}
	for i, seg := range segs {
		a.readPathParam(e, seg, params.At(i+1))
	}
	if len(e.Methods) == 0 {
		e.Methods = []string{"GET", "POST"}
		if params.Len() > len(segs)+1 {
			e.Methods = []string{"POST"}
		}
	}
	inQuery, inBody := e.QueryAndBody()
	ps := payloads{a.diags}
	if params.Len() > len(segs)+1 {
		e.Request = ps.read(params.At(params.Len()-1).Type(), params.At(params.Len()-1).Pos(), forRequest, inQuery, inBody)
	}
	if results.Len() == 2 {
		e.Response = ps.read(results.At(0).Type(), results.At(0).Pos(), forResponse, false, true)
	}
}

// QueryAndBody reports whether an endpoint's untagged request fields come from the query for one
// of its methods, and from the body for another.
func (e *Endpoint) QueryAndBody() (query, body bool) {
	for _, m := range e.Methods {
		if HasBody(m) {
			body = true
		} else {
			query = true
		}
		if m == "*" {
			query = true
		}
	}
	return query, body
}

// HasBody reports whether requests with method m carry their fields in the body.
func HasBody(m string) bool { return m != "GET" && m != "HEAD" && m != "DELETE" }

var integerKinds = []types.BasicKind{
	types.Int, types.Int8, types.Int16, types.Int32, types.Int64,
	types.Uint, types.Uint8, types.Uint16, types.Uint32, types.Uint64,
}

func (a *App) readPathParam(e *Endpoint, seg directive.Segment, v *types.Var) {
	if v.Name() != seg.Name {
		a.diags.Addf(v.Pos(), "parameter %s of %s stands where the path has %s; use the same names in the same order", v.Name(), e.Name, seg.Name)
	}
	pp := PathParam{Name: seg.Name}
	t := types.Unalias(v.Type())
	b, basic := t.(*types.Basic)
	switch {
	case basic && (b.Kind() == types.String || b.Kind() == types.Bool || slices.Contains(integerKinds, b.Kind())):
		pp.Kind = types.Typ[b.Kind()].Name()
	case isNamed(t, "encore.dev/types/uuid", "UUID"):
		pp.Kind = "uuid.UUID"
	default:
		a.diags.Addf(v.Pos(), "path parameter %s has type %s; use string, bool, an integer type or uuid.UUID, not a type of your own", v.Name(), short(t))
		return
	}
	if seg.Kind != directive.Param && pp.Kind != "string" {
		a.diags.Addf(v.Pos(), "path parameter %s takes the rest of the path and must be a string", v.Name())
	}
	e.PathParams = append(e.PathParams, pp)
}

func (a *App) readAuthHandler(s *Service, d *source.Decl) {
	if a.Auth != nil {
		a.diags.Addf(d.Pos, "second auth handler; the app already has %s.%s", a.Auth.Service.Name, a.Auth.Name)
		return
	}
	h := &AuthHandler{Service: s, Name: d.Func.Name.Name, Method: d.Receiver() != "", decl: d}
	a.Auth = h
	sig := a.signature(s, s.Pkg, d, false)
	if sig == nil {
		return
	}
	params, results := sig.Params(), sig.Results()
	if params.Len() != 2 || !isNamed(params.At(0).Type(), "context", "Context") ||
		results.Len() < 2 || results.Len() > 3 || !isNamed(results.At(0).Type(), "encore.dev/beta/auth", "UID") ||
		!isError(results.At(results.Len()-1).Type()) {
		a.diags.Addf(d.Func.Pos(), "auth handler %s has the wrong signature; want (context.Context, string or *Params) (auth.UID, *Data, error), data optional", h.Name)
		return
	}
	if b, ok := params.At(1).Type().(*types.Basic); !ok || b.Kind() != types.String {
		h.Params = payloads{a.diags}.read(params.At(1).Type(), params.At(1).Pos(), forAuth, false, false)
	}
	if results.Len() == 3 {
		h.Data = a.authData(results.At(1).Type(), d.Func.Pos())
	}
}

func (a *App) authData(t types.Type, pos token.Pos) types.Type {
	if ptr, ok := t.(*types.Pointer); ok {
		if n, ok := types.Unalias(ptr.Elem()).(*types.Named); ok {
			if _, ok := n.Underlying().(*types.Struct); ok {
				return n
			}
		}
	}
	a.diags.Addf(pos, "the auth handler's data is %s; it must be a pointer to a named struct", short(t))
	return nil
}

// checkPaths refuses endpoints that Encore's router cannot tell apart.
func (a *App) checkPaths() {
	var all []*Endpoint
	for _, s := range a.Services {
		all = append(all, s.Endpoints...)
	}
	for i, e := range all {
		for _, other := range all[:i] {
			if !directive.SharesMethod(e.Methods, other.Methods) {
				continue
			}
			if why := directive.Conflict(other.Path, e.Path); why != "" {
				a.diags.Addf(e.decl.Pos, "path %s conflicts with %s of %s.%s (%s): %s; change one path or method",
					e.Path, other.Path, other.Service.Name, other.Name, other.Position, why)
			}
		}
	}
}
