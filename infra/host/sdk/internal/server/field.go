package server

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"unsafe"
)

// source is where a field of a request comes from.
type source uint8

const (
	fromBody source = iota
	fromQuery
	fromHeader
	fromCookie
)

// textField is a field that is read from texts: query, header or cookie.
type textField struct {
	index  int
	name   string // on the wire
	from   source
	many   bool // a slice: the parameter may be repeated
	parse  parse
	cookie bool // *http.Cookie: taken as it is
}

const optionPkg = "encore.dev/types/option"

// newTextField finds how a field of type t is read.
func newTextField(i int, name string, from source, t reflect.Type) (textField, error) {
	f := textField{index: i, name: name, from: from}
	if from == fromCookie && t == reflect.TypeFor[*http.Cookie]() {
		f.cookie = true
		return f, nil
	}
	var err error
	if p, ok := special[t]; ok {
		f.parse = p
		return f, nil
	}
	switch {
	case t.Kind() == reflect.Slice && t.PkgPath() == "":
		f.many = true
		f.parse, err = parseFor(t.Elem())
	case t.Kind() == reflect.Struct && t.PkgPath() == optionPkg:
		f.parse, err = optionParse(t)
	default:
		f.parse, err = parseFor(t)
	}
	return f, err
}

// optionParse reads an option.Option: its two fields are the value and whether it is present.
// They are not exported, hence the pointers; a test in this package holds the layout.
func optionParse(t reflect.Type) (parse, error) {
	value, present := t.Field(0), t.Field(1)
	inner, err := parseFor(value.Type)
	if err != nil {
		return nil, err
	}
	return func(dst reflect.Value, text string) error {
		base := dst.Addr().UnsafePointer()
		v := reflect.NewAt(value.Type, unsafe.Add(base, value.Offset)).Elem()
		if err := inner(v, text); err != nil {
			return err
		}
		*(*bool)(unsafe.Add(base, present.Offset)) = true
		return nil
	}, nil
}

// set fills the field of dst from what the wire has.
func (f *textField) set(dst reflect.Value, values []string) error {
	v := dst.Field(f.index)
	if !f.many {
		if len(values) > 1 {
			return fmt.Errorf("must be given once")
		}
		return f.parse(v, values[0])
	}
	list := reflect.MakeSlice(v.Type(), len(values), len(values))
	for i, text := range values {
		if err := f.parse(list.Index(i), text); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

// tagName gives the name in a struct tag, whether there is one, and whether it drops the field.
func tagName(tag reflect.StructTag, keys ...string) (name string, ok, drop bool) {
	for _, key := range keys {
		if v, has := tag.Lookup(key); has {
			name, _, _ = strings.Cut(v, ",")
			return name, true, v == "-"
		}
	}
	return "", false, false
}

// isHTTPStatus says whether a response field carries the status.
func isHTTPStatus(tag reflect.StructTag) bool {
	for word := range strings.SplitSeq(tag.Get("encore"), ",") {
		if word == "httpstatus" {
			return true
		}
	}
	return false
}

// hideFields gives a struct type of the same layout as t in which the fields that hide names are
// not in the JSON. A *t may be used as a pointer to it.
func hideFields(t reflect.Type, hide func(reflect.StructField) bool) (twin reflect.Type, hidden int) {
	fields := make([]reflect.StructField, t.NumField())
	for i := range fields {
		fields[i] = t.Field(i)
		if fields[i].IsExported() && hide(fields[i]) {
			fields[i].Tag = `json:"-"`
			hidden++
		}
	}
	if hidden == 0 {
		return t, 0
	}
	return reflect.StructOf(fields), hidden
}
