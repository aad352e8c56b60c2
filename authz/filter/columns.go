package filter

import "fmt"

// overlap is: any of the literals is an element of col.
func (b *builder) overlap(operator string, col Column, list []any, negate bool) (string, error) {
	if !col.Type.array() {
		return "", mismatch(operator, col, list)
	}
	if col.Null == NullIsNull {
		return "", &UnsupportedError{Operator: operator, Detail: "null as a list in " + col.SQL}
	}
	if col.Type == NumberArray {
		return b.lists(operator, "&&", term{column: &col}, term{literal: list}, negate)
	}
	values := make([]string, 0, len(list))
	for _, item := range list {
		_, possible, ok := col.Type.element().fits(item)
		if !ok {
			return "", mismatch(operator, col, item)
		}
		if possible {
			values = append(values, item.(string))
		}
	}
	left := col.SQL
	if col.Null == NullIsZero {
		left = "coalesce(" + col.SQL + ", '{}'" + col.Type.cast() + ")"
	}
	out := fmt.Sprintf("%s && %s", left, b.bind(values, col.Type))
	if negate { // && is NULL only where the column is, and that row is refused
		out = "NOT (" + out + ")"
	}
	return out, nil
}

// text uses functions and not LIKE: they have no wildcards to escape.
func (b *builder) text(operator string, left, right term, negate bool) (string, error) {
	of, err := b.strict(operator, left)
	if err != nil {
		return "", err
	}
	by, err := b.strict(operator, right)
	if err != nil {
		return "", err
	}
	if of.Type != Text || by.Type != Text {
		return "", &UnsupportedError{Operator: operator, Detail: "not of texts"}
	}
	var out string
	switch operator {
	case "startsWith":
		out = fmt.Sprintf("starts_with(%s, %s)", of.SQL, by.SQL)
	case "endsWith":
		out = fmt.Sprintf("right(%s, length(%s)) = %s", of.SQL, by.SQL, by.SQL)
	default:
		out = fmt.Sprintf("strpos(%s, %s) > 0", of.SQL, by.SQL)
	}
	if negate { // NULL only where a column is, and that row is refused
		out = "NOT (" + out + ")"
	}
	return out, nil
}

// lists relates two lists of one type.
func (b *builder) lists(operator, relation string, left, right term, negate bool) (string, error) {
	l, r, err := b.pair(operator, left, right)
	if err != nil {
		return "", err
	}
	if !l.Type.array() || l.Type != r.Type {
		return "", &UnsupportedError{Operator: operator, Detail: "not of lists alike"}
	}
	out := fmt.Sprintf("%s %s %s", l.SQL, relation, r.SQL)
	if negate {
		out = "NOT (" + out + ")"
	}
	return out, nil
}

// columns compares two columns, or what is computed from them.
func (b *builder) columns(operator string, left, right term, negate bool) (string, error) {
	switch operator {
	case "eq", "ne":
		return b.same(operator, left, right, negate)
	case "hasIntersection":
		return b.lists(operator, "&&", left, right, negate)
	}
	l, r, err := b.pair(operator, left, right)
	if err != nil {
		return "", err
	}
	switch {
	case symbol[operator] != "" && l.Type.ordered(r.Type):
		if negate {
			operator = opposite[operator]
		}
		out := value(l) + " " + symbol[operator] + " " + value(r)
		if l.Type == Text {
			out += ` COLLATE "C"`
		}
		return out, nil
	case operator == "in" && l.Type.list() != 0 && l.Type.list() == r.Type:
		out := value(l) + " = ANY(" + r.SQL + ")"
		if negate { // nothing is in an empty list, NULL included
			out = "(" + l.SQL + " IS NOT NULL AND NOT (" + out + "))"
		}
		return out, nil
	}
	return "", &UnsupportedError{Operator: operator, Detail: "of such columns"}
}

// ordered says that policies put these two types in one order.
func (t Type) ordered(other Type) bool {
	number := func(t Type) bool { return t == Number || t == Int }
	return t == other && (t == Text || t == moment || t == span) || number(t) && number(other)
}

// same is equality where neither side is a scalar literal.
func (b *builder) same(operator string, left, right term, negate bool) (string, error) {
	negate = negate != (operator == "ne")
	if l, r := left.column, right.column; l != nil && r != nil {
		if l.Null == NullIsNull || r.Null == NullIsNull {
			return b.sameOrNull(*l, *r, negate)
		}
		if l.Type == r.Type && l.Null == NotNull && r.Null == NotNull { // as indexes have it
			return value(*l) + " " + equality(negate) + " " + value(*r), nil
		}
	}
	l, r, err := b.pair(operator, left, right)
	if err != nil {
		return "", err
	}
	if l.Type != r.Type && !l.Type.ordered(r.Type) {
		return "", &UnsupportedError{Operator: operator, Detail: "columns " + l.SQL + " and " + r.SQL + " differ in type"}
	}
	return value(l) + " " + equality(negate) + " " + value(r), nil
}

// sameOrNull compares what may be an explicit null, which equals another and nothing else.
func (b *builder) sameOrNull(l, r Column, negate bool) (string, error) {
	distinct := " IS NOT DISTINCT FROM "
	if negate {
		distinct = " IS DISTINCT FROM "
	}
	sides := [2]Column{l, r}
	guard := ""
	for i, c := range sides {
		if c.Null == NullIsNull {
			sides[i].SQL, sides[i].Type = c.SQL+c.Type.seen().cast(), c.Type.seen()
			continue
		}
		plain, err := b.strict("eq", term{column: &c})
		if err != nil {
			return "", err
		}
		sides[i] = plain
		if plain.Null != NotNull {
			guard = plain.SQL + " IS NOT NULL AND "
		}
	}
	if sides[0].Type != sides[1].Type || sides[0].Type.array() {
		return "", &UnsupportedError{Operator: "eq", Detail: "columns " + l.SQL + " and " + r.SQL + " differ in type"}
	}
	return "(" + guard + value(sides[0]) + distinct + value(sides[1]) + ")", nil
}

// numberOneOf is a number in [literals].
func (b *builder) numberOneOf(col Column, list []any, negate bool) (string, error) {
	if col.Null == NullIsNull {
		return "", mismatch("in", col, list)
	}
	r, err := b.array("in", list, NumberArray)
	if err != nil {
		return "", err
	}
	l, err := b.strict("in", term{column: &col})
	if err != nil {
		return "", err
	}
	if negate { // an empty ALL is true of NULL too
		return fmt.Sprintf("(%s <> ALL(%s) AND %s IS NOT NULL)", value(l), r.SQL, l.SQL), nil
	}
	return fmt.Sprintf("%s = ANY(%s)", value(l), r.SQL), nil
}
