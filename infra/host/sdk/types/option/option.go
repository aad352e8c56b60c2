// Package option is Encore's type for values that may be absent.
package option

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Option holds a value or none. The zero value holds none.
type Option[T any] struct {
	value   T
	present bool
}

// Some holds v.
func Some[T any](v T) Option[T] { return Option[T]{value: v, present: true} }

// None holds nothing.
func None[T any]() Option[T] { return Option[T]{} }

// FromPointer holds what v points to, if it is not nil.
func FromPointer[T any](v *T) Option[T] {
	if v == nil {
		return None[T]()
	}
	return Some(*v)
}

// FromComparable holds v unless it is zero, or says so of itself with IsZero() bool.
func FromComparable[T comparable](v T) Option[T] {
	var zero T
	if z, ok := any(v).(interface{ IsZero() bool }); v == zero || (ok && z.IsZero()) {
		return None[T]()
	}
	return Some(v)
}

// IsSome reports whether there is a value.
func (o Option[T]) IsSome() bool { return o.present }

// IsNone reports whether there is none.
func (o Option[T]) IsNone() bool { return !o.present }

// IsZero is IsNone, for omitzero.
func (o Option[T]) IsZero() bool { return !o.present }

// Get gives the value and whether there is one.
func (o Option[T]) Get() (val T, ok bool) { return o.value, o.present }

// GetOrElse gives the value or the alternative.
func (o Option[T]) GetOrElse(alternative T) T {
	if o.present {
		return o.value
	}
	return alternative
}

// GetOrElseF gives the value or what alternative makes.
func (o Option[T]) GetOrElseF(alternative func() T) T {
	if o.present {
		return o.value
	}
	return alternative()
}

// MustGet gives the value, and panics if there is none.
func (o Option[T]) MustGet() T {
	if !o.present {
		panic(errors.New("option: there is no value"))
	}
	return o.value
}

// OrElse gives the option itself, or one that holds the alternative.
func (o Option[T]) OrElse(alternative T) Option[T] {
	if o.present {
		return o
	}
	return Some(alternative)
}

// Contains reports whether there is a value for which the predicate holds.
func (o Option[T]) Contains(predicate func(v T) bool) bool { return o.present && predicate(o.value) }

// PtrOrNil gives a pointer to a copy of the value, or nil.
func (o Option[T]) PtrOrNil() *T {
	if !o.present {
		return nil
	}
	return &o.value
}

// String gives the value's text, or None.
func (o Option[T]) String() string {
	if !o.present {
		return "None"
	}
	return fmt.Sprintf("%v", o.value)
}

// GoString gives the option in Go syntax.
func (o Option[T]) GoString() string {
	if !o.present {
		return fmt.Sprintf("option.None[%T]()", o.value)
	}
	return fmt.Sprintf("option.Some(%#v)", o.value)
}

// MarshalJSON gives the value or null.
func (o Option[T]) MarshalJSON() ([]byte, error) {
	if !o.present {
		return []byte("null"), nil
	}
	return json.Marshal(o.value)
}

// UnmarshalJSON takes a value or null.
func (o *Option[T]) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*o = None[T]()
		return nil
	}
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	*o = Some(v)
	return nil
}

// Map applies f to the value, if there is one.
func Map[T, R any](option Option[T], f func(T) R) Option[R] {
	if !option.present {
		return None[R]()
	}
	return Some(f(option.value))
}

// Equal reports whether both hold the same value, or none.
func Equal[T comparable](a, b Option[T]) bool {
	return a.present == b.present && (!a.present || a.value == b.value)
}

// Contains reports whether there is a value that equals matches.
func Contains[T comparable](option Option[T], matches T) bool {
	return option.present && option.value == matches
}
