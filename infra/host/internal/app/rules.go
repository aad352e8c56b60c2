package app

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// checkResources applies what must hold between resources, and each kind's own rules.
func (a *App) checkResources() {
	taken := map[string]*Resource{}
	declared := map[string]bool{}
	for _, r := range a.Resources {
		if r.Kind == Subscription {
			a.checkSubscription(r)
		}
		key := string(r.Kind) + "\x00" + r.Topic + "\x00" + r.Name
		if r.Kind != DatabaseRef && r.Kind != BucketRef {
			if other := taken[key]; other != nil {
				a.diags.Addf(r.call.Pos(), "%s %q is declared already (%s); names must differ", r.Kind, r.Name, other.Position)
			}
			taken[key] = r
			declared[string(r.Kind)+r.Name] = true
		}
		sort.Slice(r.Migrations, func(i, j int) bool { return r.Migrations[i].Number < r.Migrations[j].Number })
	}
	for _, r := range a.Resources {
		switch r.Kind {
		case Topic:
			a.checkTopic(r)
		case CronJob:
			a.checkCron(r)
		case DatabaseRef:
			if !declared[string(Database)+r.Name] {
				a.diags.Addf(r.call.Pos(), "no package declares database %q; declare it with sqldb.NewDatabase", r.Name)
			}
		case BucketRef:
			if !declared[string(Bucket)+r.Name] {
				a.diags.Addf(r.call.Pos(), "no package declares bucket %q; declare it with objects.NewBucket", r.Name)
			}
		}
	}
	for _, p := range a.Packages {
		if p.Config && (a.ServiceOf(p) == nil || a.ServiceOf(p).Pkg != p) {
			a.diags.Addf(p.AST[0].Name.Pos(), "config.Load outside a service's own package; load it there and pass it on")
		}
	}
	a.checkStrayMigrations()
}

func (a *App) checkStrayMigrations() {
	for _, s := range a.Services {
		dir := filepath.Join(s.Pkg.Dir, "migrations")
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		if !slices.ContainsFunc(a.Resources, func(r *Resource) bool { return r.Kind == Database && r.Pkg == s.Pkg }) {
			a.diags.File(dir, "service %s has a migrations directory but no sqldb.NewDatabase; Encore makes a database of it, so declare one or rename the directory", s.Name)
		}
	}
}

// topicOf is the topic that an expression names, or nil.
func (a *App) resourceOf(p *Package, e ast.Expr) *Resource {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return a.resources[p.Info.Uses[e]]
	case *ast.SelectorExpr:
		return a.resources[p.Info.Uses[e.Sel]]
	}
	return nil
}

func (a *App) checkTopic(r *Resource) {
	t := r.Pkg.Info.TypeOf(r.call) // *pubsub.Topic[T]
	ptr, ok := t.(*types.Pointer)
	if !ok {
		return
	}
	topic, ok := ptr.Elem().(*types.Named)
	if !ok || topic.TypeArgs().Len() != 1 {
		return
	}
	event := types.Unalias(topic.TypeArgs().At(0))
	if p, ok := event.(*types.Pointer); ok {
		event = types.Unalias(p.Elem())
	}
	st, isStruct := event.Underlying().(*types.Struct)
	if _, named := event.(*types.Named); !named || !isStruct {
		a.diags.Addf(r.call.Pos(), "topic %s carries %s; events must be named structs or pointers to them", r.Name, short(event))
		return
	}
	attrs := map[string]bool{}
	for i := range st.NumFields() {
		if attr := reflect.StructTag(st.Tag(i)).Get("pubsub-attr"); attr != "" {
			attrs[attr] = true
			if strings.HasPrefix(attr, "encore") {
				a.diags.Addf(st.Field(i).Pos(), "pubsub-attr %q: names that begin with encore are reserved; rename it", attr)
			}
			if b, ok := st.Field(i).Type().Underlying().(*types.Basic); !ok || b.Info()&(types.IsBoolean|types.IsNumeric|types.IsString) == 0 {
				a.diags.Addf(st.Field(i).Pos(), "pubsub-attr %q is on a %s; attributes are strings, numbers or bools", attr, short(st.Field(i).Type()))
			}
		}
	}
	cfg := r.call.Args[1]
	if _, ok := ast.Unparen(cfg).(*ast.CompositeLit); !ok {
		return
	}
	if field(cfg, "DeliveryGuarantee") == nil {
		a.diags.Addf(cfg.Pos(), "topic %s has no DeliveryGuarantee; set pubsub.AtLeastOnce or pubsub.ExactlyOnce", r.Name)
	}
	if lit, ok := field(cfg, "OrderingAttribute").(*ast.BasicLit); ok {
		if name, _ := strconv.Unquote(lit.Value); !attrs[name] {
			a.diags.Addf(lit.Pos(), "OrderingAttribute %q matches no pubsub-attr tag of the event", name)
		}
	}
}

func (a *App) checkSubscription(r *Resource) {
	topic := a.resourceOf(r.Pkg, r.call.Args[0])
	if topic == nil || topic.Kind != Topic {
		a.diags.Addf(r.call.Args[0].Pos(), "subscription %s must name the topic's package-level variable", r.Name)
		return
	}
	r.Topic = topic.Name
	handler := field(r.call.Args[2], "Handler")
	switch h := handler.(type) {
	case nil:
		a.diags.Addf(r.call.Args[2].Pos(), "subscription %s has no Handler; name a function of the service", r.Name)
	case *ast.Ident:
		if fn, ok := r.Pkg.Info.Uses[h].(*types.Func); !ok || fn.Pkg() != r.Pkg.Types {
			a.diags.Addf(h.Pos(), "the handler of subscription %s must be a function of the same service", r.Name)
		}
	case *ast.FuncLit:
	case *ast.CallExpr:
		if qualified(callee(r.Pkg.Info, h)) != "encore.dev/pubsub.MethodHandler" {
			a.diags.Addf(h.Pos(), "the handler of subscription %s must be a function or pubsub.MethodHandler((*Service).Method)", r.Name)
		}
	default:
		a.diags.Addf(handler.Pos(), "the handler of subscription %s must be a function of the same service or pubsub.MethodHandler((*Service).Method)", r.Name)
	}
}

func (a *App) checkCron(r *Resource) {
	cfg := r.call.Args[1]
	every, schedule := field(cfg, "Every"), field(cfg, "Schedule")
	switch {
	case (every == nil) == (schedule == nil):
		a.diags.Addf(cfg.Pos(), "cron job %s needs exactly one of Every and Schedule", r.Name)
	case every != nil:
		const day = 24 * 60 * 60
		if v := r.Pkg.Info.Types[every].Value; v != nil {
			if n, ok := constant.Int64Val(v); ok && (n <= 0 || n%60 != 0 || day%n != 0) {
				a.diags.Addf(every.Pos(), "cron job %s: Every must be whole minutes that divide 24 hours", r.Name)
			}
		}
	default:
		if lit, ok := schedule.(*ast.BasicLit); ok {
			if s, _ := strconv.Unquote(lit.Value); len(strings.Fields(s)) != 5 {
				a.diags.Addf(lit.Pos(), "cron job %s: Schedule must have five fields, minute hour day month weekday", r.Name)
			}
		}
	}
	target := field(cfg, "Endpoint")
	if target == nil {
		a.diags.Addf(cfg.Pos(), "cron job %s has no Endpoint; name one", r.Name)
		return
	}
	e := a.endpointOf(r.Pkg, target)
	if e == nil {
		a.diags.Addf(target.Pos(), "the Endpoint of cron job %s is no API endpoint; name one without parameters", r.Name)
	} else if e.Raw || e.Request != nil || len(e.PathParams) > 0 {
		a.diags.Addf(target.Pos(), "cron job %s: endpoint %s takes parameters; only the context is allowed", r.Name, e.Name)
	}
}

func (a *App) endpointOf(p *Package, expr ast.Expr) *Endpoint {
	switch e := ast.Unparen(expr).(type) {
	case *ast.Ident:
		return a.endpoints[p.Info.Uses[e]]
	case *ast.SelectorExpr:
		return a.endpoints[p.Info.Uses[e.Sel]]
	}
	return nil
}

// checkSecrets accepts only Encore's form of the variable called secrets.
func (a *App) checkSecrets() {
	for _, p := range a.Packages {
		if p.Name == "main" {
			continue
		}
		for _, f := range p.AST {
			for _, d := range f.Decls {
				gen, ok := d.(*ast.GenDecl)
				if !ok || gen.Tok != token.VAR && gen.Tok != token.CONST {
					continue
				}
				for _, s := range gen.Specs {
					if spec := s.(*ast.ValueSpec); slices.ContainsFunc(spec.Names, func(n *ast.Ident) bool { return n.Name == "secrets" }) {
						a.checkSecretsSpec(p, gen, spec)
					}
				}
			}
		}
	}
}

func (a *App) checkSecretsSpec(p *Package, gen *ast.GenDecl, spec *ast.ValueSpec) {
	const want = "; Encore keeps the package variable secrets for `var secrets struct { Name string }`, so write that or rename it"
	st, ok := spec.Type.(*ast.StructType)
	if !ok || gen.Tok != token.VAR || len(spec.Names) != 1 || len(spec.Values) != 0 {
		a.diags.Addf(spec.Pos(), "secrets is not an uninitialised variable of a struct type"+want)
		return
	}
	if len(gen.Specs) != 1 {
		a.diags.Addf(spec.Pos(), "secrets shares its declaration with other variables; declare it alone")
	}
	p.Secrets = []string{}
	for _, f := range st.Fields.List {
		if id, ok := f.Type.(*ast.Ident); !ok || id.Name != "string" {
			a.diags.Addf(f.Pos(), "secrets may hold only fields of type string")
		}
		if len(f.Names) == 0 {
			a.diags.Addf(f.Pos(), "secrets may not embed types; name the field")
		}
		for _, n := range f.Names {
			p.Secrets = append(p.Secrets, n.Name)
			if optional(f) {
				p.Optional = append(p.Optional, n.Name)
			}
		}
	}
}

// optional says whether a secret is off when nobody gives it. Those without the mark are demanded, so that
// one forgotten keeps an app from starting and lets nothing start unguarded.
func optional(f *ast.Field) bool {
	return f.Comment != nil && f.Comment.List[0].Text == "//host:optional"
}
