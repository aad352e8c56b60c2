package filter

import (
	"fmt"
	"time"

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
	e := o.GetExpression()
	switch {
	case e.GetOperator() == "size" && len(e.GetOperands()) == 1:
		return b.size(e.GetOperands()[0], depth)
	case e.GetOperator() == "timestamp" && len(e.GetOperands()) == 1:
		return b.timestamp(e.GetOperands()[0], depth)
	case arithmetic[e.GetOperator()] != "" && len(e.GetOperands()) == 2:
		return b.calculation(e.GetOperator(), e.GetOperands(), depth)
	case e.GetOperator() == "index" && len(e.GetOperands()) == 2:
		return b.index(e.GetOperands(), depth)
	}
	return term{}, &UnsupportedError{Operator: operator, Detail: "nested expression " + e.GetOperator() + " as an operand"}
}

// size counts elements, or characters as the policies do: code points.
func (b *builder) size(o *operand, depth int) (term, error) {
	of, err := b.operand(o, "size", depth+1)
	if err != nil {
		return term{}, err
	}
	col := of.column
	if col == nil || of.lookup != nil || col.Null == NullIsNull || (col.Type != Text && !col.Type.array()) {
		return term{}, &UnsupportedError{Operator: "size", Detail: "not of a list or a text"}
	}
	count := "length(" + col.SQL + ")"
	if col.Type.array() {
		count = "cardinality(" + col.SQL + ")"
	}
	if col.Null == NullIsZero {
		return term{column: &Column{SQL: "coalesce(" + count + ", 0)", Type: Number}}, nil
	}
	return term{column: &Column{SQL: count, Type: Number, Null: NullIsMissing}}, nil
}

// timestamp takes a column of moments as it is and reads a literal. Postgres keeps microseconds, so
// a finer literal has no translation.
func (b *builder) timestamp(o *operand, depth int) (term, error) {
	of, err := b.operand(o, "timestamp", depth+1)
	if err != nil {
		return term{}, err
	}
	if col := of.column; col != nil {
		if of.lookup != nil || col.Type != Time || (col.Null != NotNull && col.Null != NullIsMissing) {
			return term{}, &UnsupportedError{Operator: "timestamp", Detail: "not of a moment that is there or missing"}
		}
		return term{column: &Column{SQL: col.SQL, Type: moment, Null: col.Null}}, nil
	}
	text, _ := of.literal.(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Nanosecond()%1000 != 0 {
		return term{}, &UnsupportedError{Operator: "timestamp", Detail: "not of a moment to the microsecond"}
	}
	return term{literal: at.UTC()}, nil
}

// arithmetic is on doubles, as every number of the policies is. mod is not defined on them.
var arithmetic = map[string]string{"add": "+", "sub": "-", "mult": "*", "div": "/"}

func (b *builder) calculation(operator string, operands []*operand, depth int) (term, error) {
	var sides [2]string
	null := NotNull
	for i, o := range operands {
		side, err := b.operand(o, operator, depth+1)
		if err != nil {
			return term{}, err
		}
		if n, ok := side.literal.(float64); ok {
			sides[i] = b.bind(n, Number)
			continue
		}
		col := side.column
		if col == nil || side.lookup != nil || col.Type != Number || col.Null == NullIsNull {
			return term{}, &UnsupportedError{Operator: operator, Detail: "not of numbers"}
		}
		if operator == "div" && i == 1 { // by zero is infinite there and an error here
			return term{}, &UnsupportedError{Operator: operator, Detail: "by a column"}
		}
		sides[i] = value(*col)
		switch col.Null {
		case NullIsZero:
			sides[i] = zeroed(*col)
		case NullIsMissing:
			null = NullIsMissing
		}
	}
	if n, ok := operands[1].GetNode().(*enginev1.PlanResourcesFilter_Expression_Operand_Value); ok && operator == "div" && n.Value.GetNumberValue() == 0 {
		return term{}, &UnsupportedError{Operator: operator, Detail: "by zero"}
	}
	return term{column: &Column{SQL: fmt.Sprintf("(%s %s %s)", sides[0], arithmetic[operator], sides[1]), Type: Number, Null: null}}, nil
}

// index is a literal map looked up by a column, such as the caller's roles by team.
func (b *builder) index(operands []*operand, depth int) (term, error) {
	table, ok := literalMap(operands[0])
	if !ok {
		return term{}, &UnsupportedError{Operator: "index", Detail: "not of a literal map"}
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
