package filter

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ResourceID is the key of the column that holds the resource's own id. Every
// other key is the bare name of an attribute.
const ResourceID = "request.resource.id"

// Type is the type of a column as the policies see it.
type Type int

// The types a column can have. Text must have a deterministic collation.
const (
	Text Type = iota + 1
	UUID
	Bool
	Number
	TextArray
	UUIDArray
	NumberArray
	// Time is a moment, which the policies compare through timestamp(). Its attribute
	// is the moment in RFC 3339, there or missing.
	Time
	// Int is what size() and the like count. Policies never add one to a Number, which is
	// what every attribute and every literal with a fraction is.
	Int
	// moment is what timestamp() makes of a Time; without it, comparing one fails in
	// the policy. span is what lies between two.
	moment
	span
)

// Null says what a NULL in a column is to the policies. It has to match what the
// code that builds attributes for a check does with the same row.
type Null int

const (
	// NotNull: the column has no NULLs. Should one turn up, the row is refused.
	NotNull Null = iota
	// NullIsMissing: the attribute is left out, so whatever reads it fails, and
	// a failing condition never allows.
	NullIsMissing
	// NullIsZero: the attribute is "", false, 0 or the empty list.
	NullIsZero
	// NullIsNull: the attribute is an explicit null.
	NullIsNull
)

// Column says where an attribute of the policies is found in a row.
type Column struct {
	// SQL is the column, qualified and quoted as the query needs it. It is put
	// into the predicate as it stands and must be a constant of the program.
	SQL  string
	Type Type
	Null Null
}

// UnmappedError reports an attribute that the plan needs and no column holds.
type UnmappedError struct{ Attribute string }

func (e *UnmappedError) Error() string {
	return fmt.Sprintf("filter: no column for %q", e.Attribute)
}

// UnsupportedError reports a part of a plan that has no safe translation.
type UnsupportedError struct {
	Operator string
	Detail   string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("filter: cannot translate %q: %s", e.Operator, e.Detail)
}

func (t Type) array() bool { return t == TextArray || t == UUIDArray || t == NumberArray }

// element is the type of one element of an array.
func (t Type) element() Type {
	switch t {
	case UUIDArray:
		return UUID
	case NumberArray:
		return Number
	}
	return Text
}

// list is the type of an array of these; 0 for none.
func (t Type) list() Type {
	switch t {
	case Text:
		return TextArray
	case Number, Int:
		return NumberArray
	}
	return 0
}

// seen is the type that policies see: ids are texts there.
func (t Type) seen() Type {
	switch t {
	case UUID:
		return Text
	case UUIDArray:
		return TextArray
	}
	return t
}

func (t Type) cast() string {
	switch t {
	case UUID:
		return "::uuid"
	case Bool:
		return "::boolean"
	case Number:
		return "::double precision"
	case Int:
		return "::bigint"
	case TextArray:
		return "::text[]"
	case UUIDArray:
		return "::uuid[]"
	case NumberArray:
		return "::double precision[]"
	case moment:
		return "::timestamptz"
	default:
		return "::text"
	}
}

// fits converts a literal to what is bound for a column of this type. possible
// is false for a literal of the right kind that no value of the column can
// equal: policies compare ids as text, so a UUID in another spelling is not one.
func (t Type) fits(literal any) (arg any, possible, ok bool) {
	switch v := literal.(type) {
	case string:
		switch t {
		case Text:
			return v, true, true
		case UUID:
			id, err := uuid.Parse(v)
			return v, err == nil && id.String() == v, true
		}
	case bool:
		return v, true, t == Bool
	case float64:
		return v, true, t == Number || t == Int
	case time.Time:
		return v, true, t == moment
	}
	return nil, false, false
}

func (t Type) isZero(literal any) bool {
	return literal == "" || literal == false || literal == 0.0
}
