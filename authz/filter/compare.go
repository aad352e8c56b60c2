package filter

import "fmt"

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
	if left.column != nil && right.column != nil {
		return b.columns(operator, *left.column, *right.column, negate)
	}
	if left.column == nil && right.column == nil {
		return "", &UnsupportedError{Operator: operator, Detail: "no column on either side"}
	}
	if swapped, ok := mirrored[operator]; ok && left.column == nil {
		operator, left, right = swapped, right, left
	}
	switch operator {
	case "eq":
		return b.equal(*left.column, right.literal, negate)
	case "ne":
		return b.equal(*left.column, right.literal, !negate)
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
	case "startsWith", "endsWith", "contains":
		if left.column == nil {
			return "", &UnsupportedError{Operator: operator, Detail: "column as the pattern"}
		}
		return b.text(operator, *left.column, right.literal, negate)
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
	if col.Type == Number {
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
	case NullIsMissing:
		return "", &UnsupportedError{Operator: "eq", Detail: "null against " + col.SQL + ", whose NULL means missing"}
	default: // the attribute is never null
		return truth(negate), nil
	}
}

func (b *builder) order(operator string, col Column, literal any, negate bool) (string, error) {
	arg, _, ok := col.Type.fits(literal)
	if !ok || (col.Type != Text && col.Type != Number && col.Type != moment) {
		return "", mismatch(operator, col, literal)
	}
	if negate {
		operator = opposite[operator]
	}
	left := value(col)
	if col.Null == NullIsZero {
		left = zeroed(col)
	}
	if col.Type == Text {
		left += ` COLLATE "C"` // policies compare bytes
	}
	return fmt.Sprintf("%s %s %s", left, symbol[operator], b.bind(arg, col.Type)), nil
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

// overlap is: any of the literals is an element of col.
func (b *builder) overlap(operator string, col Column, list []any, negate bool) (string, error) {
	if !col.Type.array() {
		return "", mismatch(operator, col, list)
	}
	if col.Null == NullIsNull {
		return "", &UnsupportedError{Operator: operator, Detail: "null as a list in " + col.SQL}
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
func (b *builder) text(operator string, col Column, literal any, negate bool) (string, error) {
	pattern, ok := literal.(string)
	if !ok || col.Type != Text {
		return "", mismatch(operator, col, literal)
	}
	left := col.SQL
	if col.Null == NullIsZero {
		left = zeroed(col)
	}
	var out string
	switch operator {
	case "startsWith":
		out = fmt.Sprintf("starts_with(%s, %s)", left, b.bind(pattern, Text))
	case "endsWith":
		out = fmt.Sprintf("right(%s, length(%s)) = %s", left, b.bind(pattern, Text), b.bind(pattern, Text))
	default:
		out = fmt.Sprintf("strpos(%s, %s) > 0", left, b.bind(pattern, Text))
	}
	if negate { // NULL only where the column is, and that row is refused
		out = "NOT (" + out + ")"
	}
	return out, nil
}

// columns compares two columns, where neither can be NULL.
func (b *builder) columns(operator string, left, right Column, negate bool) (string, error) {
	if operator != "eq" && operator != "ne" {
		return "", &UnsupportedError{Operator: operator, Detail: "two columns"}
	}
	if left.Type != right.Type || left.Null != NotNull || right.Null != NotNull || left.Type.array() {
		return "", &UnsupportedError{Operator: operator, Detail: "columns " + left.SQL + " and " + right.SQL + " differ in type or may be NULL"}
	}
	return fmt.Sprintf("%s %s %s", value(left), equality(negate != (operator == "ne")), value(right)), nil
}
