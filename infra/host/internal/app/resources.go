package app

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// constructor is what the host knows about a function that declares a resource.
type constructor struct {
	kind    ResourceKind
	nameArg int // index of the name among the arguments
	cfgArg  int // index of the configuration literal, -1 if there is none
	snake   bool
}

var constructors = map[string]constructor{
	"encore.dev/storage/sqldb.NewDatabase": {kind: Database, nameArg: 0, cfgArg: 1, snake: true},
	"encore.dev/storage/sqldb.Named":       {kind: DatabaseRef, nameArg: 0, cfgArg: -1, snake: true},
	"encore.dev/pubsub.NewTopic":           {kind: Topic, nameArg: 0, cfgArg: 1},
	"encore.dev/pubsub.NewSubscription":    {kind: Subscription, nameArg: 1, cfgArg: 2},
	"encore.dev/cron.NewJob":               {kind: CronJob, nameArg: 0, cfgArg: 1},
	"encore.dev/storage/objects.NewBucket": {kind: Bucket, nameArg: 0, cfgArg: 1},
	"encore.dev/storage/objects.Named":     {kind: BucketRef, nameArg: 0, cfgArg: -1},
	"encore.dev/storage/cache.NewCluster":  {kind: Cache, nameArg: 0, cfgArg: 1},
	"encore.dev/metrics.NewCounter":        {kind: Metric, nameArg: 0, cfgArg: 1, snake: true},
	"encore.dev/metrics.NewCounterGroup":   {kind: Metric, nameArg: 0, cfgArg: 1, snake: true},
	"encore.dev/metrics.NewGauge":          {kind: Metric, nameArg: 0, cfgArg: 1, snake: true},
	"encore.dev/metrics.NewGaugeGroup":     {kind: Metric, nameArg: 0, cfgArg: 1, snake: true},
}

var (
	kebabName = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
	snakeName = regexp.MustCompile(`^[a-z]([_a-z0-9]*[a-z0-9])?$`)
)

const maxName = 63

// callee is the function that a call names, or nil.
func callee(info *types.Info, call *ast.CallExpr) *types.Func {
	fun := ast.Unparen(call.Fun)
	switch f := fun.(type) {
	case *ast.IndexExpr:
		fun = f.X
	case *ast.IndexListExpr:
		fun = f.X
	}
	var id *ast.Ident
	switch f := fun.(type) {
	case *ast.Ident:
		id = f
	case *ast.SelectorExpr:
		id = f.Sel
	default:
		return nil
	}
	fn, _ := info.Uses[id].(*types.Func)
	return fn
}

func qualified(fn *types.Func) string {
	if fn == nil || fn.Pkg() == nil || fn.Signature().Recv() != nil {
		return ""
	}
	return fn.Pkg().Path() + "." + fn.Name()
}

// readResources finds the package-level declarations and refuses any made elsewhere.
func (a *App) readResources() {
	for _, p := range a.Packages {
		if p.Name == "main" {
			continue
		}
		for _, f := range p.AST {
			declared := map[*ast.CallExpr]bool{}
			for _, d := range f.Decls {
				gen, ok := d.(*ast.GenDecl)
				if !ok || gen.Tok != token.VAR {
					continue
				}
				for _, s := range gen.Specs {
					spec := s.(*ast.ValueSpec)
					for i, v := range spec.Values {
						if call, ok := ast.Unparen(v).(*ast.CallExpr); ok && len(spec.Names) == len(spec.Values) {
							a.readResource(p, spec.Names[i], call, declared)
						}
					}
				}
			}
			a.refuseStrays(p, f, declared)
		}
	}
}

func (a *App) refuseStrays(p *Package, f *ast.File, declared map[*ast.CallExpr]bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || declared[call] {
			return true
		}
		name := qualified(callee(p.Info, call))
		if _, ok := constructors[name]; ok || name == "encore.dev/config.Load" {
			a.diags.Addf(call.Pos(), "%s is called where it makes no package-level variable; declare the resource as a variable of its own at package level", strings.TrimPrefix(name, "encore.dev/"))
		}
		return true
	})
}

func (a *App) readResource(p *Package, name *ast.Ident, call *ast.CallExpr, declared map[*ast.CallExpr]bool) {
	fn := qualified(callee(p.Info, call))
	if fn == "encore.dev/config.Load" {
		declared[call] = true
		p.Config = true
		return
	}
	c, ok := constructors[fn]
	if !ok {
		return
	}
	declared[call] = true
	if len(call.Args) <= max(c.nameArg, c.cfgArg) {
		return // does not compile; reported already
	}
	pos := a.diags.Position(call.Pos())
	r := &Resource{Kind: c.kind, Pkg: p, Position: fmt.Sprintf("%s:%d", pos.Filename, pos.Line), call: call, v: p.Info.Defs[name]}
	lit, ok := ast.Unparen(call.Args[c.nameArg]).(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		a.diags.Addf(call.Args[c.nameArg].Pos(), "the name of a %s must be a string literal", c.kind)
		return
	}
	r.Name, _ = strconv.Unquote(lit.Value)
	switch {
	case c.snake && !snakeName.MatchString(r.Name):
		a.diags.Addf(lit.Pos(), "%s name %q must be snake_case: lower-case letters, digits and _, beginning with a letter", c.kind, r.Name)
	case !c.snake && !kebabName.MatchString(r.Name):
		a.diags.Addf(lit.Pos(), "%s name %q must be kebab-case: lower-case letters, digits and -, beginning with a letter", c.kind, r.Name)
	case len(r.Name) > maxName:
		a.diags.Addf(lit.Pos(), "%s name %q is longer than %d characters", c.kind, r.Name, maxName)
	}
	if c.cfgArg >= 0 {
		a.checkConfigLiteral(p, r, call.Args[c.cfgArg])
	}
	if r.v != nil && name.Name != "_" {
		a.resources[r.v] = r
	}
	if r.Kind == Database {
		a.readMigrations(r)
	}
	a.Resources = append(a.Resources, r)
}

// field is the value of a key in a configuration literal, or nil.
func field(cfg ast.Expr, key string) ast.Expr {
	if u, ok := cfg.(*ast.UnaryExpr); ok {
		cfg = u.X
	}
	lit, ok := ast.Unparen(cfg).(*ast.CompositeLit)
	if !ok {
		return nil
	}
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if id, ok := kv.Key.(*ast.Ident); ok && id.Name == key {
				return kv.Value
			}
		}
	}
	return nil
}

// codeFields hold functions, which no rule about constants applies to.
var codeFields = map[string]bool{"Handler": true, "Endpoint": true}

// constPackages are the packages whose constants a configuration may use.
var constPackages = map[string]bool{"time": true, "encore.dev/cron": true, "encore.dev/pubsub": true, "encore.dev/storage/cache": true}

// checkConfigLiteral refuses what Encore's parser cannot read: anything but literals and arithmetic
// over the constants of a few packages.
func (a *App) checkConfigLiteral(p *Package, r *Resource, cfg ast.Expr) {
	lit, ok := ast.Unparen(cfg).(*ast.CompositeLit)
	if !ok {
		a.diags.Addf(cfg.Pos(), "the configuration of a %s must be written as a literal in the call", r.Kind)
		return
	}
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			a.diags.Addf(e.Pos(), "name the fields of the %s's configuration", r.Kind)
			continue
		}
		if id, ok := kv.Key.(*ast.Ident); !ok || codeFields[id.Name] {
			continue
		}
		a.checkConfigValue(p, kv.Value)
	}
}

func (a *App) checkConfigValue(p *Package, e ast.Expr) {
	switch e := ast.Unparen(e).(type) {
	case *ast.BasicLit:
	case *ast.BinaryExpr:
		a.checkConfigValue(p, e.X)
		a.checkConfigValue(p, e.Y)
	case *ast.UnaryExpr:
		a.checkConfigValue(p, e.X)
	case *ast.CompositeLit:
		for _, el := range e.Elts {
			if kv, ok := el.(*ast.KeyValueExpr); ok {
				el = kv.Value
			}
			a.checkConfigValue(p, el)
		}
	case *ast.Ident:
		a.checkConfigIdent(p, e)
	case *ast.SelectorExpr:
		a.checkConfigIdent(p, e.Sel)
	default:
		a.diags.Addf(e.Pos(), "configuration values must be literals, or arithmetic over constants of time, cron and pubsub")
	}
}

func (a *App) checkConfigIdent(p *Package, id *ast.Ident) {
	obj := p.Info.Uses[id]
	if obj == nil || obj.Pkg() == nil { // true, false, nil
		return
	}
	if _, ok := obj.(*types.Const); !ok || !constPackages[obj.Pkg().Path()] {
		a.diags.Addf(id.Pos(), "%s in a resource's configuration; Encore reads only literals and constants of time, cron and pubsub there, so write the value out", id.Name)
	}
}

var migrationName = regexp.MustCompile(`^([0-9]+)_.+\.up\.sql$`)

// readMigrations reads the migration files of a database.
func (a *App) readMigrations(r *Resource) {
	cfg := r.call.Args[1]
	lit, ok := field(cfg, "Migrations").(*ast.BasicLit)
	if !ok {
		a.diags.Addf(cfg.Pos(), "database %s names no migrations directory; set Migrations: \"./migrations\"", r.Name)
		return
	}
	rel, _ := strconv.Unquote(lit.Value)
	dir := filepath.Join(r.Pkg.Dir, filepath.FromSlash(rel))
	if inside, err := filepath.Rel(a.Root, dir); err != nil || strings.HasPrefix(inside, "..") {
		a.diags.Addf(lit.Pos(), "migrations directory %s lies outside the app", rel)
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		a.diags.Addf(lit.Pos(), "migrations directory %s of database %s cannot be read; create it", rel, r.Name)
		return
	}
	byNumber := map[uint64]string{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".sql") || strings.HasSuffix(e.Name(), ".down.sql") {
			continue
		}
		m := migrationName.FindStringSubmatch(e.Name())
		var n uint64
		if m != nil {
			n, err = strconv.ParseUint(m[1], 10, 63)
		}
		if m == nil || err != nil || n == 0 {
			a.diags.File(path, "bad migration file name; want N_name.up.sql with N from 1")
			continue
		}
		if other := byNumber[n]; other != "" {
			a.diags.File(path, "migration number %d is taken by %s; numbers must differ", n, other)
			continue
		}
		byNumber[n] = e.Name()
		sql, err := os.ReadFile(path)
		if err != nil {
			a.diags.File(path, "cannot be read: %v", err)
			continue
		}
		r.Migrations = append(r.Migrations, Migration{Number: n, Name: e.Name(), SQL: string(sql)})
	}
}
