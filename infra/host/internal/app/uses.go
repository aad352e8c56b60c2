package app

import (
	"go/ast"
	"path/filepath"

	"encore.app/infra/host/internal/source"
)

// checkUses refuses endpoints and resources used where Encore cannot follow them.
func (a *App) checkUses() {
	for _, p := range a.Packages {
		for _, f := range p.AST {
			if filepath.Base(a.diags.Position(f.Package).Filename) == source.GeneratedFile {
				continue
			}
			var stack []ast.Node
			ast.Inspect(f, func(n ast.Node) bool {
				if n == nil {
					stack = stack[:len(stack)-1]
					return true
				}
				if id, ok := n.(*ast.Ident); ok {
					a.checkUse(p, id, stack)
				}
				stack = append(stack, n)
				return true
			})
		}
	}
}

func (a *App) checkUse(p *Package, id *ast.Ident, stack []ast.Node) {
	obj := p.Info.Uses[id]
	if obj == nil {
		return
	}
	if e := a.endpoints[obj]; e != nil {
		a.checkEndpointUse(p, id, e, stack)
	}
	if r := a.resources[obj]; r != nil {
		a.checkResourceUse(p, id, r, stack)
	}
}

// outer climbs from an identifier over its selector, parentheses and type arguments to the
// expression that stands for the whole name, and returns it with the nodes around it.
func outer(id *ast.Ident, stack []ast.Node) (ast.Expr, []ast.Node) {
	var expr ast.Expr = id
	for len(stack) > 0 {
		switch parent := stack[len(stack)-1].(type) {
		case *ast.SelectorExpr:
			if parent.Sel != expr {
				return expr, stack
			}
			expr = parent
		case *ast.ParenExpr:
			expr = parent
		default:
			return expr, stack
		}
		stack = stack[:len(stack)-1]
	}
	return expr, stack
}

func (a *App) checkEndpointUse(p *Package, id *ast.Ident, e *Endpoint, stack []ast.Node) {
	expr, around := outer(id, stack)
	if len(around) == 0 {
		return
	}
	switch parent := around[len(around)-1].(type) {
	case *ast.CallExpr:
		if parent.Fun != expr {
			if qualified(callee(p.Info, parent)) == "encore.dev/et.MockEndpoint" {
				return
			}
			break
		}
		switch {
		case e.Raw:
			a.diags.Addf(id.Pos(), "raw endpoint %s.%s cannot be called; share its logic through a function", e.Service.Name, e.Name)
		case a.ServiceOf(p) == nil:
			a.diags.Addf(id.Pos(), "endpoint %s.%s is called from package %s, which belongs to no service; call it from a service, or pass in a function", e.Service.Name, e.Name, p.Name)
		}
		return
	case *ast.KeyValueExpr:
		if key, ok := parent.Key.(*ast.Ident); ok && codeFields[key.Name] && configures(p, around) {
			return
		}
	}
	a.diags.Addf(id.Pos(), "endpoint %s.%s is used as a value; only calls are allowed, so wrap it in a function literal", e.Service.Name, e.Name)
}

// configures reports whether the innermost composite literal is a cron job's or subscription's configuration.
func configures(p *Package, around []ast.Node) bool {
	for i := len(around) - 1; i >= 0; i-- {
		if lit, ok := around[i].(*ast.CompositeLit); ok {
			t := p.Info.TypeOf(lit)
			return isNamed(t, "encore.dev/cron", "JobConfig") || isNamed(t, "encore.dev/pubsub", "SubscriptionConfig")
		}
	}
	return false
}

// refFuncs may take a topic or bucket as an argument.
var refFuncs = map[string]bool{
	"encore.dev/pubsub.TopicRef":           true,
	"encore.dev/pubsub.NewSubscription":    true,
	"encore.dev/et.Topic":                  true,
	"encore.dev/storage/objects.BucketRef": true,
}

func (a *App) checkResourceUse(p *Package, id *ast.Ident, r *Resource, stack []ast.Node) {
	inService := a.ServiceOf(p) != nil
	switch r.Kind {
	case Database, DatabaseRef:
		if !inService {
			a.diags.Addf(id.Pos(), "database %s is used in package %s, which belongs to no service; use it in a service and pass the handle on", r.Name, p.Name)
		}
		return
	case Topic, Bucket, BucketRef:
	default:
		return
	}
	expr, around := outer(id, stack)
	if len(around) > 0 {
		switch parent := around[len(around)-1].(type) {
		case *ast.SelectorExpr: // a method of it
			if !inService && parent.Sel.Name != "Meta" {
				a.diags.Addf(id.Pos(), "%s %s is used in package %s, which belongs to no service; use it in a service", r.Kind, r.Name, p.Name)
			}
			return
		case *ast.CallExpr:
			if parent.Fun != expr && refFuncs[qualified(callee(p.Info, parent))] {
				if !inService {
					a.diags.Addf(id.Pos(), "%s %s is used in package %s, which belongs to no service; take the reference in a service", r.Kind, r.Name, p.Name)
				}
				return
			}
		}
	}
	how := "pubsub.TopicRef"
	if r.Kind != Topic {
		how = "objects.BucketRef"
	}
	a.diags.Addf(id.Pos(), "%s %s is passed as a value; Encore cannot follow it, so pass %s of it instead", r.Kind, r.Name, how)
}
