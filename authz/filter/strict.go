package filter

import (
	"fmt"
	"strings"
	"time"
)

// strict is a term in the form that policies see: ids are texts there, and it is NULL exactly where
// reading it fails. What can be an explicit null has no such form.
func (b *builder) strict(operator string, t term) (Column, error) {
	switch {
	case t.lookup != nil:
		return Column{}, &UnsupportedError{Operator: operator, Detail: "with a map looked up by a column"}
	case t.column == nil:
		return b.constant(operator, t.literal)
	}
	col := *t.column
	if col.Null == NullIsNull {
		return Column{}, &UnsupportedError{Operator: operator, Detail: "null in " + col.SQL}
	}
	if plain := col.Type.seen(); plain != col.Type {
		col.SQL, col.Type = col.SQL+plain.cast(), plain
	}
	if col.Null == NullIsZero {
		zero, ok := zeros[col.Type]
		if !ok {
			return Column{}, &UnsupportedError{Operator: operator, Detail: "no zero of " + col.SQL}
		}
		col.SQL, col.Null = "coalesce("+col.SQL+", "+zero+")", NotNull
	}
	return col, nil
}

// zeros are what NULL stands for in a column where it is zero.
var zeros = map[Type]string{Text: "''", Bool: "FALSE", Number: "0", TextArray: "'{}'::text[]", NumberArray: "'{}'::double precision[]"}

// constant binds a literal as what it is.
func (b *builder) constant(operator string, literal any) (Column, error) {
	of := func(t Type) (Column, error) { return Column{SQL: b.bind(literal, t), Type: t}, nil }
	switch v := literal.(type) {
	case string:
		return of(Text)
	case bool:
		return of(Bool)
	case float64:
		return of(Number)
	case time.Time:
		return of(moment)
	case time.Duration:
		return Column{SQL: "make_interval(secs => " + b.bind(v.Seconds(), Number) + ")", Type: span}, nil
	case []any:
		t := TextArray
		if len(v) > 0 {
			if _, number := v[0].(float64); number {
				t = NumberArray
			}
		}
		return b.array(operator, v, t)
	}
	return Column{}, &UnsupportedError{Operator: operator, Detail: fmt.Sprintf("a literal %T", literal)}
}

// array binds a literal list whose elements are all of one type.
func (b *builder) array(operator string, list []any, t Type) (Column, error) {
	refused := &UnsupportedError{Operator: operator, Detail: "a list of unlike elements"}
	switch t {
	case TextArray:
		values, ok := all[string](list)
		if !ok {
			return Column{}, refused
		}
		return Column{SQL: b.bind(values, t), Type: t}, nil
	case NumberArray:
		values, ok := all[float64](list)
		if !ok {
			return Column{}, refused
		}
		return Column{SQL: b.bind(values, t), Type: t}, nil
	}
	return Column{}, refused
}

func all[T any](list []any) ([]T, bool) {
	out := make([]T, len(list))
	for i, item := range list {
		v, ok := item.(T)
		if !ok {
			return nil, false
		}
		out[i] = v
	}
	return out, true
}

// list is a term that has to be a list, with the elements that its column has.
func (b *builder) list(operator string, t term) (Column, error) {
	if t.column != nil && t.column.Type == UUIDArray && t.lookup == nil && t.column.Null != NullIsNull {
		col := *t.column
		if col.Null == NullIsZero {
			col.SQL, col.Null = "coalesce("+col.SQL+", '{}'"+col.Type.cast()+")", NotNull
		}
		return col, nil
	}
	col, err := b.strict(operator, t)
	if err == nil && !col.Type.array() {
		err = &UnsupportedError{Operator: operator, Detail: "not over a list"}
	}
	return col, err
}

// pair is two terms in their strict form. A literal list has the type of the list beside it.
func (b *builder) pair(operator string, left, right term) (l, r Column, err error) {
	if list, ok := left.literal.([]any); ok && left.column == nil {
		if r, err = b.strict(operator, right); err == nil && r.Type.array() {
			l, err = b.array(operator, list, r.Type)
			return l, r, err
		}
	}
	if l, err = b.strict(operator, left); err != nil {
		return l, r, err
	}
	if list, ok := right.literal.([]any); ok && right.column == nil && l.Type.array() {
		r, err = b.array(operator, list, l.Type)
	} else {
		r, err = b.strict(operator, right)
	}
	return l, r, err
}

// whole makes a term NULL where any of those that it is made from is.
func whole(sql string, from ...Column) string {
	var guard []string
	for _, c := range from {
		guard = append(guard, c.SQL+" IS NOT NULL")
	}
	if len(guard) == 0 {
		return sql
	}
	return "(CASE WHEN " + strings.Join(guard, " AND ") + " THEN " + sql + " END)"
}

// missingIf is the convention of what is computed from columns: NULL where one of them is missing.
func missingIf(cols ...Column) Null {
	for _, c := range cols {
		if c.Null != NotNull {
			return NullIsMissing
		}
	}
	return NotNull
}
