package server

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"encore.dev/beta/auth"
	"encore.dev/internal/registry"
	"encore.dev/types/uuid"
)

// parse reads one text into dst.
type parse func(dst reflect.Value, text string) error

// Errors of a parse say what was expected and never repeat the value, which may be a secret.
var (
	errBool  = errors.New("must be true or false")
	errInt   = errors.New("must be an integer in range")
	errUint  = errors.New("must be a non-negative integer in range")
	errFloat = errors.New("must be a number")
	errTime  = errors.New("must be a time as RFC 3339 has it")
	errUUID  = errors.New("must be a UUID")
	errBytes = errors.New("must be base64url")
	errJSON  = errors.New("must be JSON")
)

var special = map[reflect.Type]parse{
	reflect.TypeFor[time.Time](): func(dst reflect.Value, text string) error {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return errTime
		}
		*dst.Addr().Interface().(*time.Time) = t
		return nil
	},
	reflect.TypeFor[uuid.UUID](): func(dst reflect.Value, text string) error {
		u, err := uuid.FromString(text)
		if err != nil {
			return errUUID
		}
		*dst.Addr().Interface().(*uuid.UUID) = u
		return nil
	},
	reflect.TypeFor[json.RawMessage](): func(dst reflect.Value, text string) error {
		if !json.Valid([]byte(text)) {
			return errJSON
		}
		dst.SetBytes([]byte(text))
		return nil
	},
	reflect.TypeFor[[]byte](): func(dst reflect.Value, text string) error {
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
		if err != nil {
			return errBytes
		}
		dst.SetBytes(b)
		return nil
	},
	reflect.TypeFor[auth.UID](): parseString,
}

func parseString(dst reflect.Value, text string) error {
	dst.SetString(text)
	return nil
}

// parseFor gives the parse of a type that a query, header, cookie or path parameter may have.
func parseFor(t reflect.Type) (parse, error) {
	if p, ok := special[t]; ok {
		return p, nil
	}
	if t.PkgPath() != "" {
		return nil, fmt.Errorf("type %s is not supported here", t)
	}
	switch t.Kind() {
	case reflect.String:
		return parseString, nil
	case reflect.Bool:
		return func(dst reflect.Value, text string) error {
			b, err := strconv.ParseBool(text)
			if err != nil {
				return errBool
			}
			dst.SetBool(b)
			return nil
		}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(dst reflect.Value, text string) error {
			n, err := strconv.ParseInt(text, 10, dst.Type().Bits())
			if err != nil {
				return errInt
			}
			dst.SetInt(n)
			return nil
		}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(dst reflect.Value, text string) error {
			n, err := strconv.ParseUint(text, 10, dst.Type().Bits())
			if err != nil {
				return errUint
			}
			dst.SetUint(n)
			return nil
		}, nil
	case reflect.Float32, reflect.Float64:
		return func(dst reflect.Value, text string) error {
			f, err := strconv.ParseFloat(text, dst.Type().Bits())
			if err != nil {
				return errFloat
			}
			dst.SetFloat(f)
			return nil
		}, nil
	}
	return nil, fmt.Errorf("type %s is not supported here", t)
}

// kindTypes are the types of path parameters.
var kindTypes = map[registry.ParamKind]reflect.Type{
	registry.String: reflect.TypeFor[string](),
	registry.Bool:   reflect.TypeFor[bool](),
	registry.Int:    reflect.TypeFor[int](),
	registry.Int8:   reflect.TypeFor[int8](),
	registry.Int16:  reflect.TypeFor[int16](),
	registry.Int32:  reflect.TypeFor[int32](),
	registry.Int64:  reflect.TypeFor[int64](),
	registry.Uint:   reflect.TypeFor[uint](),
	registry.Uint8:  reflect.TypeFor[uint8](),
	registry.Uint16: reflect.TypeFor[uint16](),
	registry.Uint32: reflect.TypeFor[uint32](),
	registry.Uint64: reflect.TypeFor[uint64](),
	registry.UUID:   reflect.TypeFor[uuid.UUID](),
}

// pathParser reads one path parameter to its kind.
func pathParser(kind registry.ParamKind) (func(text string) (any, error), error) {
	switch kind {
	case registry.String:
		return func(text string) (any, error) { return text, nil }, nil
	case registry.UUID:
		return func(text string) (any, error) {
			u, err := uuid.FromString(text)
			if err != nil {
				return nil, errUUID
			}
			return u, nil
		}, nil
	}
	t, ok := kindTypes[kind]
	if !ok {
		return nil, fmt.Errorf("unknown kind %d of path parameter", kind)
	}
	p, err := parseFor(t)
	if err != nil {
		return nil, err
	}
	return func(text string) (any, error) {
		v := reflect.New(t).Elem()
		if err := p(v, text); err != nil {
			return nil, err
		}
		return v.Interface(), nil
	}, nil
}
