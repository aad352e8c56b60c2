package filter

// exists is col.exists(element, condition), or with its condition turned around. Negated, every element must be known
// not to match: a sub-query that took unknown for false would allow.
func (b *builder) exists(operands []*operand, opposite, negate bool, depth int) (string, error) {
	if b.element != "" {
		return "", &UnsupportedError{Operator: "exists", Detail: "nested"}
	}
	list, err := b.operand(operands[0], "exists", depth)
	if err != nil {
		return "", err
	}
	lambda := operands[1].GetExpression()
	if list.column == nil || list.lookup != nil || !list.column.Type.array() || lambda.GetOperator() != "lambda" || len(lambda.GetOperands()) != 2 ||
		lambda.GetOperands()[1].GetVariable() == "" {
		return "", &UnsupportedError{Operator: "exists", Detail: "not over an array column with one name"}
	}
	col := *list.column
	if col.Null == NullIsNull {
		return "", &UnsupportedError{Operator: "exists", Detail: "null as a list in " + col.SQL}
	}
	b.element, b.elementCol = lambda.GetOperands()[1].GetVariable(), Column{SQL: "element.value", Type: col.Type.element()}
	inner, err := b.condition(lambda.GetOperands()[0], opposite, depth+1)
	b.element = ""
	if err != nil {
		return "", err
	}
	from := "SELECT FROM unnest(" + col.SQL + ") AS element(value) WHERE "
	if !negate {
		return "EXISTS (" + from + inner + ")", nil
	}
	out := "NOT EXISTS (" + from + "(" + inner + ") IS NOT FALSE)"
	if col.Null != NullIsZero {
		out = "(" + col.SQL + " IS NOT NULL AND " + out + ")"
	}
	return out, nil
}
