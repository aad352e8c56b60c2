package openapi

import (
	"go/ast"
	"go/constant"
	"go/types"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"encore.app/infra/host/internal/app"
)

// codes are Encore's error codes with the names of their constants and the HTTP status of each.
var codes = []struct {
	name, wire string
	status     int
}{
	{"Canceled", "canceled", 499}, {"Unknown", "unknown", 500}, {"InvalidArgument", "invalid_argument", 400},
	{"DeadlineExceeded", "deadline_exceeded", 504}, {"NotFound", "not_found", 404}, {"AlreadyExists", "already_exists", 409},
	{"PermissionDenied", "permission_denied", 403}, {"ResourceExhausted", "resource_exhausted", 429},
	{"FailedPrecondition", "failed_precondition", 400}, {"Aborted", "aborted", 409}, {"OutOfRange", "out_of_range", 400},
	{"Unimplemented", "unimplemented", 501}, {"Internal", "internal", 500}, {"Unavailable", "unavailable", 503},
	{"DataLoss", "data_loss", 500}, {"Unauthenticated", "unauthenticated", 401},
}

// reasons are the words of details.reason, each with the statuses that code of the app gives it.
type reasons map[string][]int

// reasonsOf reads the constants of type Reason and every call that makes an error of one.
func reasonsOf(a *app.App) reasons {
	out := reasons{}
	scope := a.Below(faultPackage).Types.Scope()
	for _, name := range scope.Names() {
		if c, ok := scope.Lookup(name).(*types.Const); ok && strings.HasSuffix(c.Type().String(), "/fault.Reason") {
			out[constant.StringVal(c.Val())] = nil
		}
	}
	for _, p := range a.Packages {
		own := map[*ast.CallExpr]bool{} // made with a status of their own, by the call around them
		for _, f := range p.AST {
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && !own[call] {
					out.read(p, call, own)
				}
				return true
			})
		}
	}
	for reason, statuses := range out {
		if len(statuses) == 0 { // no code makes it: it comes out of a policy
			out[reason] = []int{403}
		}
		slices.Sort(statuses)
	}
	return out
}

// read notes the status of one call that makes an error.
func (r reasons) read(p *app.Package, call *ast.CallExpr, own map[*ast.CallExpr]bool) {
	switch faultFunction(p, call.Fun) {
	case "WithStatus":
		inner, ok := call.Args[0].(*ast.CallExpr)
		if status := p.Info.Types[call.Args[1]].Value; ok && status != nil && faultFunction(p, inner.Fun) == "New" {
			n, _ := constant.Int64Val(status)
			own[inner] = true
			r.note(p, inner.Args[1], int(n))
		}
	case "New":
		if sel, ok := call.Args[0].(*ast.SelectorExpr); ok {
			for _, c := range codes {
				if c.name == sel.Sel.Name {
					r.note(p, call.Args[1], c.status)
				}
			}
		}
	case "Unavailable":
		r["dependency_unavailable"] = []int{503}
	case "Refused":
		r.note(p, call.Args[0], 401)
	case "Denied":
		r.note(p, call.Args[0], 403)
	}
}

func (r reasons) note(p *app.Package, reason ast.Expr, status int) {
	if value := p.Info.Types[reason].Value; value != nil {
		word := constant.StringVal(value)
		if !slices.Contains(r[word], status) {
			r[word] = append(r[word], status)
		}
	}
}

// faultFunction is the name of the function of package fault that fun is, or "".
func faultFunction(p *app.Package, fun ast.Expr) string {
	var id *ast.Ident
	switch fun := fun.(type) {
	case *ast.Ident:
		id = fun
	case *ast.SelectorExpr:
		id = fun.Sel
	default:
		return ""
	}
	fn, ok := p.Info.Uses[id].(*types.Func)
	if !ok || fn.Pkg() == nil || !strings.HasSuffix(fn.Pkg().Path(), "/"+faultPackage) || fn.Signature().Recv() != nil {
		return ""
	}
	return fn.Name()
}

var (
	refusal = regexp.MustCompile(`(?s)Refuses\b.*`)
	word    = regexp.MustCompile(`\b([a-z]+(?:_[a-z]+)*)\b(?: \((\d{3})\b)?`)
	like    = regexp.MustCompile(`as ([A-Z][A-Za-z]*) does`)
)

// plainWords are the reasons of one word that no sentence about a refusal uses for itself.
var plainWords = map[string]bool{"erased": true, "unauthenticated": true}

// named are the reasons that the comment of e says it refuses with, and the statuses of each.
func (r reasons) named(e *app.Endpoint) map[string][]int {
	out := map[string][]int{}
	for _, paragraph := range strings.Split(e.Doc, "\n\n") {
		said := refusal.FindString(paragraph)
		if m := like.FindStringSubmatch(said); m != nil {
			for _, other := range e.Service.Endpoints {
				if other.Name == m[1] {
					for reason, statuses := range r.named(other) {
						out[reason] = statuses
					}
				}
			}
		}
		for _, m := range word.FindAllStringSubmatch(said, -1) {
			statuses, known := r[m[1]]
			if !known || !strings.Contains(m[1], "_") && !plainWords[m[1]] {
				continue
			}
			if m[2] != "" {
				n, _ := strconv.Atoi(m[2])
				statuses = []int{n}
			}
			out[m[1]] = statuses
		}
	}
	return out
}

// plainError is the shape of an error in an app without a package fault.
var plainError = object{
	"type":     "object",
	"required": []string{"code", "message"},
	"properties": object{
		"code":    object{"type": "string"},
		"message": object{"type": "string"},
		"details": object{
			"type": []string{"object", "null"},
			"properties": object{
				"reason":     object{"type": "string"},
				"request_id": object{"type": "string"},
			},
		},
	},
}

// errorSchema is the shape of every error, with the app's own details.
func (h *house) errorSchema(s *schemas) object {
	s.answering = true
	var wire []string
	for _, c := range codes {
		wire = append(wire, c.wire)
	}
	details, _ := h.app.Below(faultPackage).Types.Scope().Lookup("Details").(*types.TypeName)
	st := details.Type().Underlying().(*types.Struct)
	shape := s.object(structFields(st))
	shape["properties"].(object)["reason"] = object{
		"type": "string", "description": "A stable word to switch on. New ones may come.", "examples": slices.Sorted(maps.Keys(h.reasons)),
	}
	return object{
		"type":        "object",
		"description": "What every refusal and failure answers.",
		"required":    []string{"code", "message", "details"},
		"properties": object{
			"code":    object{"type": "string", "enum": wire, "description": "The kind of error, one a status."},
			"message": object{"type": "string", "description": "A sentence for people."},
			"details": shape,
		},
	}
}
