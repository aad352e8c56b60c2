package filter

import (
	"fmt"
	"time"
)

// mirrored are the operators that keep their meaning when operands swap sides.
var mirrored = map[string]string{"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "hasIntersection": "hasIntersection"}

// opposite negates an ordering. It is exact because no side is NULL: where one
// is, the comparison fails in the policy too.
var opposite = map[string]string{"lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}

var symbol = map[string]string{"lt": "<", "le": "<=", "gt": ">", "ge": ">="}

func (b *builder) comparison(operator string, left, right term, negate bool) (string, error) {
	if left.lookup != nil || right.lookup != nil {
		return b.looked(operator, left, right, negate)
	}
	if left.column == nil && right.column == nil {
		return "", &UnsupportedError{Operator: operator, Detail: "no column on either side"}
	}
	switch operator {
	case "startsWith", "endsWith", "contains":
		return b.text(operator, left, right, negate)
	case "isSubset":
		return b.lists(operator, "<@", left, right, negate)
	}
	if left.column != nil && right.column != nil {
		return b.columns(operator, left, right, negate)
	}
	if swapped, ok := mirrored[operator]; ok && left.column == nil {
		operator, left, right = swapped, right, left
	}
	switch operator {
	case "eq", "ne":
		if _, list := right.literal.([]any); list {
			return b.same(operator, left, right, negate)
		}
		return b.equal(*left.column, right.literal, negate != (operator == "ne"))
	case "lt", "le", "gt", "ge":
		return b.order(operator, *left.column, right.literal, negate)
	case "in":
		if left.column != nil {
			return b.oneOf(*left.column, right.literal, negate)
		}
		return b.overlap(operator, *right.column, []any{left.literal}, negate)
	case "hasIntersection":
		list, ok := right.literal.([]any)
		if !ok {
			return "", mismatch(operator, *left.column, right.literal)
		}
		return b.overlap(operator, *left.column, list, negate)
	default:
		return "", &UnsupportedError{Operator: operator, Detail: "unknown operator"}
	}
}

func mismatch(operator string, col Column, literal any) error {
	return &UnsupportedError{Operator: operator, Detail: fmt.Sprintf("%T against column %s", literal, col.SQL)}
}

// equal is col == literal. Without NULLs in play it stays a plain comparison, so
// that indexes serve it.
func (b *builder) equal(col Column, literal any, negate bool) (string, error) {
	if literal == nil {
		return isNull(col, negate)
	}
	arg, possible, ok := col.Type.fits(literal)
	if !ok {
		return "", mismatch("eq", col, literal)
	}
	zero := col.Null == NullIsZero && col.Type.isZero(literal)
	switch {
	case zero && !possible: // "" against a UUID column: only NULL is ""
		if negate {
			return col.SQL + " IS NOT NULL", nil
		}
		return col.SQL + " IS NULL", nil
	case !possible:
		return b.never(col, negate), nil
	case zero:
		return fmt.Sprintf("coalesce(%s, %s) %s %s", value(col), b.bind(arg, col.Type), equality(negate), b.bind(arg, col.Type)), nil
	case negate && (col.Null == NullIsZero || col.Null == NullIsNull):
		return fmt.Sprintf("%s IS DISTINCT FROM %s", value(col), b.bind(arg, col.Type)), nil
	}
	if col.Type == Int {
		return fmt.Sprintf("%s %s %s", value(col), equality(negate), b.bind(arg, Number)), nil
	}
	return fmt.Sprintf("%s %s %s", value(col), equality(negate), b.bind(arg, col.Type)), nil
}

func equality(negate bool) string {
	if negate {
		return "<>"
	}
	return "="
}

// value is the column as policies compare it: every number is a double there.
func value(col Column) string {
	if col.Type == Number || col.Type == Int {
		return col.SQL + Number.cast()
	}
	return col.SQL
}

// never is a comparison that no value satisfies. Its opposite holds for every
// value, but not for one that is missing.
func (b *builder) never(col Column, negate bool) string {
	if negate && (col.Null == NotNull || col.Null == NullIsMissing) {
		return col.SQL + " IS NOT NULL"
	}
	return truth(negate)
}

func isNull(col Column, negate bool) (string, error) {
	switch col.Null {
	case NullIsNull:
		if negate {
			return col.SQL + " IS NOT NULL", nil
		}
		return col.SQL + " IS NULL", nil
	case NullIsMissing: // never null, and not there to be compared
		if negate {
			return col.SQL + " IS NOT NULL", nil
		}
		return truth(false), nil
	default: // the attribute is never null
		return truth(negate), nil
	}
}

func (b *builder) order(operator string, col Column, literal any, negate bool) (string, error) {
	if negate {
		operator = opposite[operator]
	}
	if d, ok := literal.(time.Duration); ok && col.Type == span {
		return fmt.Sprintf("%s %s make_interval(secs => %s)", col.SQL, symbol[operator], b.bind(d.Seconds(), Number)), nil
	}
	arg, _, ok := col.Type.fits(literal)
	if !ok || (col.Type != Text && col.Type != Number && col.Type != Int && col.Type != moment) {
		return "", mismatch(operator, col, literal)
	}
	left, bound := value(col), col.Type
	if col.Null == NullIsZero {
		left = zeroed(col)
	}
	switch col.Type {
	case Text:
		left += ` COLLATE "C"` // policies compare bytes
	case Int:
		bound = Number
	}
	return fmt.Sprintf("%s %s %s", left, symbol[operator], b.bind(arg, bound)), nil
}

func zeroed(col Column) string {
	if col.Type == Number {
		return "coalesce(" + value(col) + ", 0)"
	}
	return "coalesce(" + col.SQL + ", '')"
}

// oneOf is col in [literals].
func (b *builder) oneOf(col Column, literal any, negate bool) (string, error) {
	list, ok := literal.([]any)
	if ok && (col.Type == Number || col.Type == Int) {
		return b.numberOneOf(col, list, negate)
	}
	if !ok || (col.Type != Text && col.Type != UUID) {
		return "", mismatch("in", col, literal)
	}
	values := make([]string, 0, len(list))
	zero := false
	for _, item := range list {
		_, possible, ok := col.Type.fits(item)
		if !ok {
			return "", mismatch("in", col, item)
		}
		zero = zero || item == ""
		if possible {
			values = append(values, item.(string))
		}
	}
	bound := b.bind(values, arrayOf(col.Type))
	null := col.Null == NullIsNull || col.Null == NullIsZero // NULL gives a definite answer
	matches := col.Null == NullIsZero && zero                // and this is it
	switch {
	case !negate && matches:
		return fmt.Sprintf("(%s = ANY(%s) OR %s IS NULL)", col.SQL, bound, col.SQL), nil
	case !negate:
		return fmt.Sprintf("%s = ANY(%s)", col.SQL, bound), nil
	case null && !matches:
		return fmt.Sprintf("(%s <> ALL(%s) OR %s IS NULL)", col.SQL, bound, col.SQL), nil
	default: // an empty ALL is true of NULL too, which must stay refused
		return fmt.Sprintf("(%s <> ALL(%s) AND %s IS NOT NULL)", col.SQL, bound, col.SQL), nil
	}
}

func arrayOf(t Type) Type {
	if t == UUID {
		return UUIDArray
	}
	return TextArray
}
