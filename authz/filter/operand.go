package filter

import (
	"fmt"
	"math"

	enginev1 "github.com/cerbos/cerbos/api/genpb/cerbos/engine/v1"
)

type operand = enginev1.PlanResourcesFilter_Expression_Operand

// term is one side of a comparison: a column or what is computed from one, a literal, or a literal
// map looked up by a column.
type term struct {
	column  *Column
	literal any
	lookup  map[string]any // by column
}

func (b *builder) operand(o *operand, operator string, depth int) (term, error) {
	if depth > maxDepth {
		return term{}, &UnsupportedError{Operator: "plan", Detail: "nested too deeply"}
	}
	switch n := o.GetNode().(type) {
	case *enginev1.PlanResourcesFilter_Expression_Operand_Value:
		return term{literal: n.Value.AsInterface()}, nil
	case *enginev1.PlanResourcesFilter_Expression_Operand_Variable:
		col, err := b.column(n.Variable)
		return term{column: &col}, err
	}
	return b.function(o.GetExpression(), operator, depth)
}

// arithmetic is how the operators read here. Between an int and a double there is none: it fails in
// the policy. + also joins texts and lists, and moves a moment by a span.
var arithmetic = map[string]string{"add": "+", "sub": "-", "mult": "*", "div": "/", "mod": "%"}

func (b *builder) calculation(operator string, operands []*operand, depth int) (term, error) {
	var sides [2]term
	for i, o := range operands {
		var err error
		if sides[i], err = b.operand(o, operator, depth+1); err != nil {
			return term{}, err
		}
	}
	if of, counted := counting(sides); of != nil {
		return b.counted(operator, sides, *of, counted)
	}
	l, r, err := b.pair(operator, sides[0], sides[1])
	if err != nil {
		return term{}, err
	}
	made := Column{SQL: "(" + l.SQL + " " + arithmetic[operator] + " " + r.SQL + ")", Type: l.Type, Null: missingIf(l, r)}
	switch {
	case operator == "add" && l.Type == Text && r.Type == Text:
		made.SQL = "(" + l.SQL + " || " + r.SQL + ")"
	case operator == "add" && l.Type.array() && l.Type == r.Type: // || takes a NULL for an empty list
		made.SQL = whole("("+l.SQL+" || "+r.SQL+")", l, r)
	case (operator == "add" || operator == "sub") && l.Type == moment && r.Type == span:
	case operator == "sub" && l.Type == moment && r.Type == moment:
		made.Type = span
	default:
		return term{}, &UnsupportedError{Operator: operator, Detail: "not of what can be calculated with"}
	}
	return term{column: &made}, nil
}

// counting is the type of the numbers that are calculated with, and nil where they are none. A literal
// beside a count is an int, or the policy does not compile.
func counting(sides [2]term) (*Type, bool) {
	var found *Type
	for _, s := range sides {
		if c := s.column; c != nil && s.lookup == nil && (c.Type == Number || c.Type == Int) {
			if found != nil && *found != c.Type {
				return &c.Type, false
			}
			found = &c.Type
		}
	}
	return found, true
}

// counted calculates with numbers. A whole literal beside an attribute is refused: the plan does not say
// whether it is 2, which fails in the policy, or 2.0.
func (b *builder) counted(operator string, sides [2]term, t Type, alike bool) (term, error) {
	refuse := func(why string) (term, error) { return term{}, &UnsupportedError{Operator: operator, Detail: why} }
	if !alike {
		return refuse("of an int and a double, which fails")
	}
	var cols [2]Column
	for i, s := range sides {
		if s.column != nil {
			var err error
			if cols[i], err = b.strict(operator, s); err != nil {
				return term{}, err
			}
			cols[i].SQL += t.cast()
			if i == 1 && (operator == "div" || operator == "mod") { // by zero is another thing there and an error here
				return refuse("by a column")
			}
			continue
		}
		n, ok := s.literal.(float64)
		switch {
		case !ok:
			return refuse("not of numbers")
		case t == Number && isWhole(n):
			return refuse("of an attribute and a whole number, which may be an int")
		case t == Int && !isWhole(n), i == 1 && n == 0 && (operator == "div" || operator == "mod"):
			return refuse("of a count and such a number")
		case t == Int:
			cols[i] = Column{SQL: b.bind(int64(n), Int)}
		default:
			cols[i] = Column{SQL: b.bind(n, Number)}
		}
	}
	if operator == "mod" && t == Number {
		return refuse("of doubles, which fails")
	}
	sql := fmt.Sprintf("(%s %s %s)", cols[0].SQL, arithmetic[operator], cols[1].SQL)
	return term{column: &Column{SQL: sql, Type: t, Null: missingIf(cols[:]...)}}, nil
}

// index is a literal map looked up by a column, such as the caller's roles by team, a field of what that
// holds, or the nth element of a list.
func (b *builder) index(operator string, operands []*operand, depth int) (term, error) {
	if operator == "get-field" {
		return b.field(operands, depth)
	}
	table, ok := literalMap(operands[0])
	if !ok {
		return b.nth(operands, depth)
	}
	by, err := b.operand(operands[1], "index", depth+1)
	if err != nil {
		return term{}, err
	}
	if by.column == nil || by.lookup != nil || (by.column.Type != Text && by.column.Type != UUID) {
		return term{}, &UnsupportedError{Operator: "index", Detail: "not by a text or an id"}
	}
	return term{column: by.column, lookup: table}, nil
}

// field is that of a map that was looked up; a key whose content has none fails like one that is not there.
func (b *builder) field(operands []*operand, depth int) (term, error) {
	of, err := b.operand(operands[0], "get-field", depth+1)
	if err != nil {
		return term{}, err
	}
	name := operands[1].GetVariable()
	if of.lookup == nil || name == "" {
		return term{}, &UnsupportedError{Operator: "get-field", Detail: "not of a map that was looked up"}
	}
	inner := map[string]any{}
	for key, content := range of.lookup {
		if fields, ok := content.(map[string]any); ok {
			if v, ok := fields[name]; ok {
				inner[key] = v
			}
		}
	}
	return term{column: of.column, lookup: inner}, nil
}

// nth counts from zero, in a list whose first element Postgres calls the first.
func (b *builder) nth(operands []*operand, depth int) (term, error) {
	of, err := b.operand(operands[0], "index", depth+1)
	if err != nil {
		return term{}, err
	}
	at, ok := operands[1].GetNode().(*enginev1.PlanResourcesFilter_Expression_Operand_Value)
	if !ok || of.column == nil {
		return term{}, &UnsupportedError{Operator: "index", Detail: "not of a list by a whole number"}
	}
	n, ok := at.Value.AsInterface().(float64)
	if !ok || !isWhole(n) || n < 0 || n > math.MaxInt32 {
		return term{}, &UnsupportedError{Operator: "index", Detail: "not by a whole number"}
	}
	list, err := b.list("index", of)
	if err != nil {
		return term{}, err
	}
	sql := fmt.Sprintf("((%s)[%d])", list.SQL, int(n)+1)
	return term{column: &Column{SQL: sql, Type: list.Type.element(), Null: NullIsMissing}}, nil
}

// literalMap reads a map that holds nothing but literals, in either form that plans write it.
func literalMap(o *operand) (map[string]any, bool) {
	if v, ok := o.GetNode().(*enginev1.PlanResourcesFilter_Expression_Operand_Value); ok {
		table, ok := v.Value.AsInterface().(map[string]any)
		return table, ok
	}
	if o.GetExpression().GetOperator() != "struct" {
		return nil, false
	}
	table := map[string]any{}
	for _, field := range o.GetExpression().GetOperands() {
		set := field.GetExpression()
		if set.GetOperator() != "set-field" || len(set.GetOperands()) != 2 {
			return nil, false
		}
		name, isName := set.GetOperands()[0].GetNode().(*enginev1.PlanResourcesFilter_Expression_Operand_Value)
		content, isValue := set.GetOperands()[1].GetNode().(*enginev1.PlanResourcesFilter_Expression_Operand_Value)
		if !isName || !isValue {
			return nil, false
		}
		key, isText := name.Value.AsInterface().(string)
		if !isText {
			return nil, false
		}
		table[key] = content.Value.AsInterface()
	}
	return table, true
}
