package server

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"

	"encore.dev/beta/errs"
	"encore.dev/internal/registry"
)

// decoder makes an endpoint's request struct from an HTTP request. It is planned once.
type decoder struct {
	typ       reflect.Type
	body      reflect.Type // typ without the fields that come from elsewhere; nil if the body has none
	texts     []textField
	query     bool // some text field comes from the query
	validates bool // the struct has Validate
}

type validator interface{ Validate() error }

var validatorType = reflect.TypeFor[validator]()

// hasBody says whether requests of a method carry their fields in the body.
func hasBody(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodDelete:
		return false
	}
	return true
}

// newDecoder plans the decoding of t. nil if there is no request struct.
func newDecoder(t reflect.Type, inBody bool) (*decoder, error) {
	if t == nil {
		return nil, nil
	}
	d := &decoder{typ: t, validates: reflect.PointerTo(t).Implements(validatorType)}
	bodyFields := 0
	elsewhere := map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		from, name, drop := placeField(f, inBody)
		switch {
		case drop:
		case from == fromBody:
			bodyFields++
			continue
		default:
			text, err := newTextField(i, name, from, f.Type)
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", t, f.Name, err)
			}
			d.texts = append(d.texts, text)
			d.query = d.query || from == fromQuery
		}
		elsewhere[f.Name] = true
	}
	if bodyFields > 0 {
		d.body, _ = hideFields(t, func(f reflect.StructField) bool { return elsewhere[f.Name] })
	}
	return d, nil
}

// placeField finds where a field of a request comes from, and under which name. A body method
// takes a field from the query only if it has a query tag and no json tag, as the two are often
// written together.
func placeField(f reflect.StructField, inBody bool) (from source, name string, drop bool) {
	if name, ok, _ := tagName(f.Tag, "header"); ok {
		return fromHeader, http.CanonicalHeaderKey(name), false
	}
	query, hasQuery, dropQuery := tagName(f.Tag, "query", "qs")
	_, hasJSON, dropJSON := tagName(f.Tag, "json")
	if inBody && (hasJSON || !hasQuery) {
		return fromBody, "", dropJSON
	}
	if query == "" {
		query = registry.Snake(f.Name)
	}
	return fromQuery, query, dropQuery || (dropJSON && !hasQuery)
}

// decode makes the request struct; the result is a pointer to it.
func (d *decoder) decode(w http.ResponseWriter, r *http.Request, limit int64) (any, error) {
	ptr := reflect.New(d.typ)
	if len(d.texts) > 0 {
		if _, err := d.decodeTexts(r, ptr.Elem()); err != nil {
			return nil, err
		}
	}
	if d.body != nil {
		if err := d.decodeBody(w, r, ptr, limit); err != nil {
			return nil, err
		}
	}
	return ptr.Interface(), nil
}

// decodeTexts fills the fields that come from texts. given says that one of them is not empty.
func (d *decoder) decodeTexts(r *http.Request, dst reflect.Value) (given bool, err error) {
	var query url.Values
	if d.query && r.URL.RawQuery != "" {
		if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return true, invalid(fieldProblem{"query", "is not a well-formed query string"})
		}
	}
	var wrong []fieldProblem
	for i := range d.texts {
		f := &d.texts[i]
		var values []string
		switch f.from {
		case fromQuery:
			values = query[f.name]
		case fromHeader:
			values = r.Header[f.name]
		case fromCookie:
			c, err := r.Cookie(f.name)
			if err != nil {
				continue
			}
			if f.cookie {
				dst.Field(f.index).Set(reflect.ValueOf(c))
				given = true
				continue
			}
			values = []string{c.Value}
		}
		if len(values) == 0 {
			continue
		}
		given = given || values[0] != "" || len(values) > 1
		if err := f.set(dst, values); err != nil {
			wrong = append(wrong, fieldProblem{f.name, err.Error()})
		}
	}
	if wrong != nil {
		return true, invalid(wrong...)
	}
	return given, nil
}

func (d *decoder) decodeBody(w http.ResponseWriter, r *http.Request, ptr reflect.Value, limit int64) error {
	if r.ContentLength > limit {
		return errTooLarge
	}
	buf := getBuffer()
	defer putBuffer(buf)
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		return bodyError(err)
	}
	if d.body != d.typ {
		ptr = reflect.NewAt(d.body, ptr.UnsafePointer())
	}
	return unmarshalStrict(buf.Bytes(), ptr.Interface())
}

// check runs the request's Validate.
func (d *decoder) check(req any) error {
	if !d.validates {
		return nil
	}
	return validate(req)
}

// validate runs Validate. What is not an *errs.Error is the caller's mistake, in the app's words.
func validate(req any) error {
	err := req.(validator).Validate()
	if err == nil || errs.Code(err) != errs.Unknown {
		return err
	}
	return &errs.Error{
		Code: errs.InvalidArgument, Message: "validation failed: " + err.Error(),
		Details: &problem{Reason: reasonInvalid},
	}
}
