package filter

import (
	"fmt"
	"math"
	"time"

	enginev1 "github.com/cerbos/cerbos/api/genpb/cerbos/engine/v1"
)

// function is what an expression in the place of an operand comes to.
func (b *builder) function(e *enginev1.PlanResourcesFilter_Expression, operator string, depth int) (term, error) {
	name, operands := e.GetOperator(), e.GetOperands()
	switch name {
	case "filter":
		return b.filtered(operands, depth)
	case "map":
		return b.mapped(operands, depth)
	case "list":
		return b.listed(operands, depth)
	case "if":
		return b.chosen(operands, depth)
	}
	if part := parts[name]; part != "" && len(operands) == 1 {
		return b.part(name, part, operands[0], depth)
	}
	switch len(operands) {
	case 1:
		switch name {
		case "size":
			return b.size(operands[0], depth)
		case "timestamp":
			return b.timestamp(operands[0], depth)
		case "duration":
			return b.duration(operands[0], depth)
		case "int", "double", "-_":
			return b.number(name, operands[0], depth)
		case "upperAscii", "lowerAscii":
			return b.cased(name, operands[0], depth)
		}
	case 2:
		switch name {
		case "add", "sub", "mult", "div", "mod":
			return b.calculation(name, operands, depth)
		case "except", "intersect":
			return b.without(name, operands, depth)
		case "index", "get-field":
			return b.index(name, operands, depth)
		}
	}
	return term{}, &UnsupportedError{Operator: operator, Detail: "nested expression " + name + " as an operand"}
}

// size counts elements, or characters as the policies do: code points.
func (b *builder) size(o *operand, depth int) (term, error) {
	of, err := b.operand(o, "size", depth+1)
	if err != nil {
		return term{}, err
	}
	col, err := b.strict("size", of)
	if err != nil {
		return term{}, err
	}
	switch {
	case col.Type.array():
		return term{column: &Column{SQL: "cardinality(" + col.SQL + ")", Type: Int, Null: missingIf(col)}}, nil
	case col.Type == Text:
		return term{column: &Column{SQL: "length(" + col.SQL + ")", Type: Int, Null: missingIf(col)}}, nil
	}
	return term{}, &UnsupportedError{Operator: "size", Detail: "not of a list or a text"}
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

// longest is a span whose seconds a double holds to the microsecond.
const longest = 100 * 365 * 24 * time.Hour

func (b *builder) duration(o *operand, depth int) (term, error) {
	of, err := b.operand(o, "duration", depth+1)
	if err != nil {
		return term{}, err
	}
	text, _ := of.literal.(string)
	d, err := time.ParseDuration(text)
	if err != nil || d%time.Microsecond != 0 || d.Abs() > longest {
		return term{}, &UnsupportedError{Operator: "duration", Detail: "not a literal to the microsecond"}
	}
	return term{literal: d}, nil
}

// parts are those of a moment, in UTC. In another zone they depend on whose tables of zones are asked.
var parts = map[string]string{
	"getFullYear": "year from %s)", "getMonth": "month from %s) - 1", "getDate": "day from %s)", "getDayOfMonth": "day from %s) - 1",
	"getDayOfWeek": "dow from %s)", "getDayOfYear": "doy from %s) - 1", "getHours": "hour from %s)", "getMinutes": "minute from %s)",
}

func (b *builder) part(name, part string, o *operand, depth int) (term, error) {
	of, err := b.operand(o, name, depth+1)
	if err != nil {
		return term{}, err
	}
	if of.column == nil || of.column.Type != moment {
		return term{}, &UnsupportedError{Operator: name, Detail: "not of a moment"}
	}
	sql := "(extract(" + fmt.Sprintf(part, of.column.SQL+" AT TIME ZONE 'UTC'") + ")::bigint"
	return term{column: &Column{SQL: sql, Type: Int, Null: missingIf(*of.column)}}, nil
}

// number converts between the two kinds of numbers, or turns the sign around.
func (b *builder) number(name string, o *operand, depth int) (term, error) {
	of, err := b.operand(o, name, depth+1)
	if err != nil {
		return term{}, err
	}
	if of.column == nil || (of.column.Type != Number && of.column.Type != Int) {
		return term{}, &UnsupportedError{Operator: name, Detail: "not of a column of numbers"}
	}
	col, err := b.strict(name, of)
	if err != nil {
		return term{}, err
	}
	switch {
	case name == "-_":
		col.SQL = "(- " + value(col) + ")"
	case name == "double":
		col.SQL, col.Type = value(col), Number
	case col.Type == Number: // int() fails where there is no such whole number
		col.SQL = "(CASE WHEN abs(" + value(col) + ") < 9.2e18 THEN trunc(" + value(col) + ")::bigint END)"
		col.Type, col.Null = Int, NullIsMissing
	}
	return term{column: &col}, nil
}

func (b *builder) cased(name string, o *operand, depth int) (term, error) {
	of, err := b.operand(o, name, depth+1)
	if err != nil {
		return term{}, err
	}
	col, err := b.strict(name, of)
	if err != nil {
		return term{}, err
	}
	if col.Type != Text {
		return term{}, &UnsupportedError{Operator: name, Detail: "not of a text"}
	}
	function := map[string]string{"upperAscii": "upper", "lowerAscii": "lower"}[name]
	col.SQL = function + "(" + col.SQL + ` COLLATE "C")`
	return term{column: &col}, nil
}

// chosen is one of two terms, or nothing where the condition has no answer.
func (b *builder) chosen(operands []*operand, depth int) (term, error) {
	if len(operands) != 3 {
		return term{}, &UnsupportedError{Operator: "if", Detail: "needs three operands"}
	}
	yes, err := b.condition(operands[0], false, depth+1)
	if err != nil {
		return term{}, err
	}
	var sides [2]Column
	for i := range sides {
		of, err := b.operand(operands[i+1], "if", depth+1)
		if err != nil {
			return term{}, err
		}
		if sides[i], err = b.strict("if", of); err != nil {
			return term{}, err
		}
	}
	no, err := b.condition(operands[0], true, depth+1)
	if err != nil {
		return term{}, err
	}
	if sides[0].Type != sides[1].Type {
		return term{}, &UnsupportedError{Operator: "if", Detail: "between unlike terms"}
	}
	sql := fmt.Sprintf("(CASE WHEN %s THEN %s WHEN %s THEN %s END)", yes, sides[0].SQL, no, sides[1].SQL)
	return term{column: &Column{SQL: sql, Type: sides[0].Type, Null: NullIsMissing}}, nil
}

// listed is a list of texts, each there or the list is not.
func (b *builder) listed(operands []*operand, depth int) (term, error) {
	items, cols := "", make([]Column, len(operands))
	for i, o := range operands {
		of, err := b.operand(o, "list", depth+1)
		if err != nil {
			return term{}, err
		}
		if cols[i], err = b.strict("list", of); err != nil {
			return term{}, err
		}
		if cols[i].Type != Text {
			return term{}, &UnsupportedError{Operator: "list", Detail: "not of texts"}
		}
		if i > 0 {
			items += ", "
		}
		items += cols[i].SQL
	}
	return term{column: &Column{SQL: whole("ARRAY["+items+"]::text[]", cols...), Type: TextArray, Null: missingIf(cols...)}}, nil
}

// without is what of one list is not, or is, in another.
func (b *builder) without(name string, operands []*operand, depth int) (term, error) {
	left, err := b.operand(operands[0], name, depth+1)
	if err != nil {
		return term{}, err
	}
	right, err := b.operand(operands[1], name, depth+1)
	if err != nil {
		return term{}, err
	}
	l, r, err := b.pair(name, left, right)
	if err != nil {
		return term{}, err
	}
	if !l.Type.array() || l.Type != r.Type {
		return term{}, &UnsupportedError{Operator: name, Detail: "not of lists alike"}
	}
	relation := map[string]string{"except": "<> ALL", "intersect": "= ANY"}[name]
	sql := fmt.Sprintf("array(SELECT i.value FROM unnest(%s) WITH ORDINALITY AS i(value, n) WHERE i.value %s(%s) ORDER BY i.n)", l.SQL, relation, r.SQL)
	return term{column: &Column{SQL: whole(sql, l, r), Type: l.Type, Null: missingIf(l, r)}}, nil
}

// isWhole says that a literal may be an int of the policy's as well as a double.
func isWhole(n float64) bool { return n == math.Trunc(n) && math.Abs(n) < 1<<53 }
