package server

import (
	"encoding"
	"reflect"
	"time"

	"encore.dev/types/uuid"
)

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// expected says what JSON a Go type is read from, in words for the client.
func expected(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return "a time as RFC 3339 has it"
	case reflect.TypeFor[uuid.UUID]():
		return "a UUID"
	case reflect.TypeFor[[]byte]():
		return "base64"
	}
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return "a valid string"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "an integer in range"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a non-negative integer in range"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "of another type"
}
