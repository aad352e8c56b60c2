// Package configvalue decodes configuration into structs whose values are
// functions, and lets tests change what such a function returns.
package configvalue

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"encore.dev/internal/testscope"
)

// Decode fills v, a pointer, from JSON. Functions without parameters and with
// one result become values; what JSON lacks is zero.
func Decode(data []byte, v any) error {
	return fill(reflect.ValueOf(v).Elem(), data, "")
}

func fill(v reflect.Value, data []byte, path string) error {
	t := v.Type()
	switch {
	case isValue(t):
		held := reflect.New(t.Out(0)).Elem()
		if err := fill(held, data, path); err != nil {
			return err
		}
		v.Set(newFunc(t, held))
		return nil
	case !hasValues(t, map[reflect.Type]bool{}):
		if data == nil {
			return nil
		}
		if err := json.Unmarshal(data, v.Addr().Interface()); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimPrefix(path, "."), err)
		}
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		return fill(v.Elem(), data, path)
	case reflect.Struct:
		return fillStruct(v, data, path)
	case reflect.Slice:
		var items []json.RawMessage
		if err := unmarshal(data, &items, path); err != nil {
			return err
		}
		v.Set(reflect.MakeSlice(t, len(items), len(items)))
		for i, item := range items {
			if err := fill(v.Index(i), item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		var items map[string]json.RawMessage
		if err := unmarshal(data, &items, path); err != nil {
			return err
		}
		v.Set(reflect.MakeMap(t))
		for key, item := range items {
			held := reflect.New(t.Elem()).Elem()
			if err := fill(held, item, path+"."+key); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(key).Convert(t.Key()), held)
		}
		return nil
	}
	return fmt.Errorf("%s: configuration cannot hold a %s", strings.TrimPrefix(path, "."), t)
}

func fillStruct(v reflect.Value, data []byte, path string) error {
	var given map[string]json.RawMessage
	if err := unmarshal(data, &given, path); err != nil {
		return err
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if err := fill(v.Field(i), given[name], path+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func unmarshal(data []byte, into any, path string) error {
	if data == nil {
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", strings.TrimPrefix(path, "."), err)
	}
	return nil
}

func isValue(t reflect.Type) bool {
	return t.Kind() == reflect.Func && t.NumIn() == 0 && t.NumOut() == 1
}

// hasValues says whether a value's function is anywhere in t.
func hasValues(t reflect.Type, seen map[reflect.Type]bool) bool {
	if isValue(t) {
		return true
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return hasValues(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && hasValues(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// cell is what a value's function returns in tests.
type cell struct {
	mu     sync.Mutex
	base   reflect.Value
	byTest map[string]reflect.Value
}

var cells sync.Map // closure pointer → *cell; filled in tests only

func newFunc(t reflect.Type, held reflect.Value) reflect.Value {
	if !testing.Testing() {
		out := []reflect.Value{held}
		return reflect.MakeFunc(t, func([]reflect.Value) []reflect.Value { return out })
	}
	c := &cell{base: held}
	f := reflect.MakeFunc(t, func([]reflect.Value) []reflect.Value { return []reflect.Value{c.get()} })
	variable := reflect.New(t)
	variable.Elem().Set(f)
	cells.Store(closure(variable.UnsafePointer()), c)
	return f
}

// closure identifies a function value by what its variable points to. Go has
// no other identity for it: all these functions share one code address.
func closure(variable unsafe.Pointer) unsafe.Pointer { return *(*unsafe.Pointer)(variable) }

func (c *cell) get() reflect.Value {
	c.mu.Lock()
	overridden := len(c.byTest) > 0
	c.mu.Unlock()
	if !overridden {
		return c.base
	}
	test := testscope.Current()
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok := c.byTest[test]; ok {
		return v
	}
	return c.base
}

// Override makes the function in variable, a *func() T, return value within the running test.
func Override[F ~func() T, T any](variable *F, value T) error {
	found, ok := cells.Load(closure(unsafe.Pointer(variable)))
	if !ok {
		return fmt.Errorf("%T was not made by config.Load", *variable)
	}
	c := found.(*cell)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byTest == nil {
		c.byTest = map[string]reflect.Value{}
	}
	v := reflect.New(c.base.Type()).Elem()
	v.Set(reflect.ValueOf(&value).Elem())
	c.byTest[testscope.Current()] = v
	return nil
}
