package filter

import "fmt"

// bound is a name that a lambda gives to the element of a list.
type bound struct {
	name string
	row  string // in SQL
	col  Column
}

// over is a list that a lambda ranges over, and the lambda: from reads it with its element in scope.
type over struct {
	list   Column
	from   string
	lambda *operand
	name   bound
}

// ranging reads the operands of a macro: a list, and a lambda of one name.
func (b *builder) ranging(operator string, operands []*operand, depth int) (over, error) {
	refuse := func(why string) (over, error) { return over{}, &UnsupportedError{Operator: operator, Detail: why} }
	if len(operands) != 2 {
		return refuse("needs a list and a lambda")
	}
	l := operands[1].GetExpression()
	if l.GetOperator() != "lambda" || len(l.GetOperands()) != 2 || l.GetOperands()[1].GetVariable() == "" {
		return refuse("not a lambda of one name")
	}
	of, err := b.operand(operands[0], operator, depth+1)
	if err != nil {
		return over{}, err
	}
	list, err := b.list(operator, of)
	if err != nil {
		return over{}, err
	}
	row := fmt.Sprintf("e%d", len(b.scope)+1)
	return over{
		list: list, lambda: l.GetOperands()[0],
		from: "unnest(" + list.SQL + ") WITH ORDINALITY AS " + row + "(value, n)",
		name: bound{name: l.GetOperands()[1].GetVariable(), row: row, col: Column{SQL: row + ".value", Type: list.Type.element()}},
	}, nil
}

// holds is the lambda of o as a condition on its element.
func (b *builder) holds(o over, negate bool, depth int) (string, error) {
	b.scope = append(b.scope, o.name)
	defer func() { b.scope = b.scope[:len(b.scope)-1] }()
	return b.condition(o.lambda, negate, depth+1)
}

// judged reads the list of o with what its lambda makes of each element: kept, and whether that is known.
// One that fails spoils what looks at all of them. It is a table of its own, so that what is counted and
// gathered belongs to it whatever the lambda names.
func (b *builder) judged(o over, depth int) (string, error) {
	yes, err := b.holds(o, false, depth)
	if err != nil {
		return "", err
	}
	no, err := b.holds(o, true, depth)
	row := o.name.row
	return fmt.Sprintf("(SELECT %s.value AS item, %s.n AS n, (%s) IS TRUE AS kept, (%s) IS TRUE AS dropped FROM %s) AS m", row, row, yes, no, o.from), err
}

// exists is: the lambda, or its opposite, holds for some element; negated, it is known not to hold for
// any, which is that its opposite holds for all. In either form an element for which it fails counts
// for nothing: that is what exists and all make of it.
func (b *builder) exists(operator string, operands []*operand, opposite, negate bool, depth int) (string, error) {
	o, err := b.ranging(operator, operands, depth)
	if err != nil {
		return "", err
	}
	inner, err := b.holds(o, opposite != negate, depth)
	if err != nil {
		return "", err
	}
	if !negate {
		return "EXISTS (SELECT FROM " + o.from + " WHERE " + inner + ")", nil
	}
	return o.there("NOT EXISTS (SELECT FROM " + o.from + " WHERE (" + inner + ") IS NOT TRUE)"), nil
}

// there is a condition on a list that has to be there.
func (o over) there(condition string) string {
	return "(" + o.list.SQL + " IS NOT NULL AND " + condition + ")"
}

// existsOne is: the lambda holds for exactly one element, and fails for none.
func (b *builder) existsOne(operands []*operand, negate bool, depth int) (string, error) {
	o, err := b.ranging("exists_one", operands, depth)
	if err != nil {
		return "", err
	}
	from, err := b.judged(o, depth)
	if err != nil {
		return "", err
	}
	return o.there(fmt.Sprintf("(SELECT count(*) FILTER (WHERE m.kept) %s 1 AND coalesce(bool_and(m.kept OR m.dropped), TRUE) FROM %s)", equality(negate), from)), nil
}

// filtered is the list of those elements for which the lambda holds.
func (b *builder) filtered(operands []*operand, depth int) (term, error) {
	o, err := b.ranging("filter", operands, depth)
	if err != nil {
		return term{}, err
	}
	from, err := b.judged(o, depth)
	if err != nil {
		return term{}, err
	}
	return o.gathered("m.kept OR m.dropped", " FILTER (WHERE m.kept)", from, o.list.Type), nil
}

// mapped is the list of what the lambda makes of each element.
func (b *builder) mapped(operands []*operand, depth int) (term, error) {
	o, err := b.ranging("map", operands, depth)
	if err != nil {
		return term{}, err
	}
	b.scope = append(b.scope, o.name)
	made, err := b.operand(o.lambda, "map", depth+1)
	b.scope = b.scope[:len(b.scope)-1]
	if err != nil {
		return term{}, err
	}
	item, err := b.strict("map", made)
	if err != nil {
		return term{}, err
	}
	t := item.Type.list()
	if t == 0 {
		return term{}, &UnsupportedError{Operator: "map", Detail: "to something that has no list"}
	}
	row := o.name.row
	from := fmt.Sprintf("(SELECT %s AS item, %s.n AS n FROM %s) AS m", value(item), row, o.from)
	return o.gathered("m.item IS NOT NULL", "", from, t), nil
}

// gathered is a list made from another: there if that is, and if nothing failed on the way.
func (o over) gathered(known, kept, from string, t Type) term {
	made := fmt.Sprintf("(SELECT CASE WHEN coalesce(bool_and(%s), TRUE) THEN coalesce(array_agg(m.item ORDER BY m.n)%s, '{}'%s) END FROM %s)", known, kept, t.cast(), from)
	return term{column: &Column{SQL: whole(made, o.list), Type: t, Null: NullIsMissing}}
}
