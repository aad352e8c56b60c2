package filter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	enginev1 "github.com/cerbos/cerbos/api/genpb/cerbos/engine/v1"
)

// maxDepth bounds the recursion; plans of real policies stay below ten.
const maxDepth = 64

type kind int

const (
	denied kind = iota
	allowed
	conditional
)

// Plan says which resources of one kind a principal may act on. It is immutable.
type Plan struct {
	// DecisionID and PolicyVersion are what the plan is recorded under.
	DecisionID    string
	PolicyVersion string
	// Cached is the layer that remembered the plan, "" when it was just made.
	Cached string

	kind      kind
	condition *enginev1.PlanResourcesFilter_Expression_Operand
}

// New wraps what the policy engine answered. A filter of a kind unknown here is
// an error.
func New(f *enginev1.PlanResourcesFilter) (*Plan, error) {
	switch f.GetKind() {
	case enginev1.PlanResourcesFilter_KIND_ALWAYS_DENIED:
		return &Plan{}, nil
	case enginev1.PlanResourcesFilter_KIND_ALWAYS_ALLOWED:
		return &Plan{kind: allowed}, nil
	case enginev1.PlanResourcesFilter_KIND_CONDITIONAL:
		if f.GetCondition() == nil {
			return nil, &UnsupportedError{Operator: "plan", Detail: "conditional without a condition"}
		}
		return &Plan{kind: conditional, condition: f.GetCondition()}, nil
	default:
		return nil, &UnsupportedError{Operator: "plan", Detail: "unknown kind " + f.GetKind().String()}
	}
}

// AlwaysDenied reports whether no resource can match, so that the query can be
// saved. It is true of the zero Plan.
func (p *Plan) AlwaysDenied() bool { return p == nil || p.kind == denied }

// AlwaysAllowed reports whether every resource matches.
func (p *Plan) AlwaysAllowed() bool { return p != nil && p.kind == allowed }

// SQL is the plan as one boolean expression in parentheses, its literals bound
// as placeholders from $firstArg on. On an error the expression is FALSE.
func (p *Plan) SQL(cols map[string]Column, firstArg int) (where string, args []any, err error) {
	switch {
	case p.AlwaysDenied():
		return "(FALSE)", nil, nil
	case p.AlwaysAllowed():
		return "(TRUE)", nil, nil
	case firstArg < 1:
		return "(FALSE)", nil, fmt.Errorf("filter: first placeholder is $%d", firstArg)
	}
	b := &builder{cols: cols, next: firstArg}
	out, err := b.condition(p.condition, false, 0)
	if err != nil {
		return "(FALSE)", nil, err
	}
	return "(" + out + ")", b.args, nil
}

type builder struct {
	cols map[string]Column
	next int
	args []any
	// scope are the names that the lambdas around give to elements, innermost last.
	scope []bound
}

func (b *builder) bind(arg any, t Type) string {
	b.args = append(b.args, arg)
	b.next++
	return "$" + strconv.Itoa(b.next-1) + t.cast()
}

func truth(v bool) string {
	if v {
		return "TRUE"
	}
	return "FALSE"
}

// condition translates an operand in a boolean position; negate asks for its
// opposite.
func (b *builder) condition(o *operand, negate bool, depth int) (string, error) {
	if depth > maxDepth {
		return "", &UnsupportedError{Operator: "plan", Detail: "nested too deeply"}
	}
	switch n := o.GetNode().(type) {
	case *enginev1.PlanResourcesFilter_Expression_Operand_Value:
		v, ok := n.Value.AsInterface().(bool)
		if !ok {
			return "", &UnsupportedError{Operator: "value", Detail: "not a boolean"}
		}
		return truth(v != negate), nil
	case *enginev1.PlanResourcesFilter_Expression_Operand_Variable:
		col, err := b.column(n.Variable)
		if err != nil {
			return "", err
		}
		if col.Null == NullIsNull { // null is no condition, and neither is its opposite
			col.Null = NullIsMissing
		}
		return b.equal(col, true, negate)
	case *enginev1.PlanResourcesFilter_Expression_Operand_Expression:
		return b.expression(n.Expression, negate, depth)
	default:
		return "", &UnsupportedError{Operator: "operand", Detail: "empty"}
	}
}

func (b *builder) expression(e *enginev1.PlanResourcesFilter_Expression, negate bool, depth int) (string, error) {
	operator, operands := e.GetOperator(), e.GetOperands()
	switch operator {
	case "and", "or":
		return b.junction(operator, operands, negate, depth)
	case "not":
		if len(operands) != 1 {
			return "", &UnsupportedError{Operator: operator, Detail: "needs one operand"}
		}
		return b.condition(operands[0], !negate, depth+1)
	}
	switch operator {
	case "exists":
		return b.exists(operator, operands, false, negate, depth)
	case "all": // none for which it does not hold
		return b.exists(operator, operands, true, !negate, depth)
	case "exists_one":
		return b.existsOne(operands, negate, depth)
	case "if":
		return b.either(operands, negate, depth)
	}
	if len(operands) != 2 {
		return "", &UnsupportedError{Operator: operator, Detail: "needs two operands"}
	}
	switch operator {
	case "isSet":
		return b.isSet(operands, negate, depth)
	case "index", "get-field":
		return b.flag(e, negate, depth)
	}
	left, err := b.operand(operands[0], operator, depth)
	if err != nil {
		return "", err
	}
	right, err := b.operand(operands[1], operator, depth)
	if err != nil {
		return "", err
	}
	return b.comparison(operator, left, right, negate)
}

// either is one of two conditions; neither where what chooses between them has no answer.
func (b *builder) either(operands []*operand, negate bool, depth int) (string, error) {
	if len(operands) != 3 {
		return "", &UnsupportedError{Operator: "if", Detail: "needs three operands"}
	}
	var parts [4]string
	for i, of := range []struct {
		o      *operand
		negate bool
	}{{operands[0], false}, {operands[1], negate}, {operands[0], true}, {operands[2], negate}} {
		var err error
		if parts[i], err = b.condition(of.o, of.negate, depth+1); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("((%s AND %s) OR (%s AND %s))", parts[0], parts[1], parts[2], parts[3]), nil
}

// isSet asks whether an attribute is there, or is not. Cerbos plans has() as always true, which the
// linter of the policies keeps out; the operator is of its contract all the same.
func (b *builder) isSet(operands []*operand, negate bool, depth int) (string, error) {
	of, err := b.operand(operands[0], "isSet", depth)
	if err != nil {
		return "", err
	}
	want, isBool := operands[1].GetValue().AsInterface().(bool)
	if of.column == nil || of.lookup != nil || !isBool {
		return "", &UnsupportedError{Operator: "isSet", Detail: "not of an attribute"}
	}
	if of.column.Null != NullIsMissing {
		return truth(want != negate), nil
	}
	if want != negate {
		return of.column.SQL + " IS NOT NULL", nil
	}
	return of.column.SQL + " IS NULL", nil
}

// flag is what a map or a list holds, in a boolean position.
func (b *builder) flag(e *enginev1.PlanResourcesFilter_Expression, negate bool, depth int) (string, error) {
	of, err := b.function(e, e.GetOperator(), depth)
	if err != nil {
		return "", err
	}
	return b.comparison("eq", of, term{literal: !negate}, false)
}

func (b *builder) junction(operator string, operands []*operand, negate bool, depth int) (string, error) {
	if len(operands) == 0 {
		return "", &UnsupportedError{Operator: operator, Detail: "needs operands"}
	}
	word := " AND "
	if (operator == "or") != negate { // De Morgan
		word = " OR "
	}
	parts := make([]string, len(operands))
	for i, o := range operands {
		part, err := b.condition(o, negate, depth+1)
		if err != nil {
			return "", err
		}
		parts[i] = part
	}
	return "(" + strings.Join(parts, word) + ")", nil
}

// column finds the column of a variable. Whatever is not an attribute or the id
// of the resource has no business in a plan.
func (b *builder) column(variable string) (Column, error) {
	for _, in := range slices.Backward(b.scope) {
		if in.name == variable {
			return in.col, nil
		}
	}
	name, ok := strings.CutPrefix(variable, "request.resource.attr.")
	if !ok {
		if variable != ResourceID {
			return Column{}, &UnmappedError{Attribute: variable}
		}
		name = ResourceID
	}
	col, ok := b.cols[name]
	if !ok || col.SQL == "" || col.Type == 0 {
		return Column{}, &UnmappedError{Attribute: name}
	}
	return col, nil
}
