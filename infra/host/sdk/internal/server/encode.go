package server

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"
	"unsafe"
)

// encoder writes an endpoint's response struct. It is planned once.
type encoder struct {
	typ     reflect.Type
	twin    reflect.Type // typ without the fields that are not in the body; typ itself if there are none
	headers []headerField
	status  int // index of the field that carries the status, -1 if none
}

type headerField struct {
	index int
	name  string
}

var jsonMarshaler = reflect.TypeFor[json.Marshaler]()

// newEncoder plans the encoding of t. nil if there is no response struct.
func newEncoder(t reflect.Type) (*encoder, error) {
	if t == nil {
		return nil, nil
	}
	e := &encoder{typ: t, twin: t, status: -1}
	outside := map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		if isHTTPStatus(f.Tag) {
			if f.Type.Kind() != reflect.Int || e.status >= 0 {
				return nil, fmt.Errorf("%s.%s: one int field may carry the status", t, f.Name)
			}
			e.status = i
			outside[f.Name] = true
		} else if name, ok, _ := tagName(f.Tag, "header"); ok {
			e.headers = append(e.headers, headerField{i, http.CanonicalHeaderKey(name)})
			outside[f.Name] = true
		}
	}
	// A type that writes its own JSON decides itself what is in it.
	if !reflect.PointerTo(t).Implements(jsonMarshaler) {
		e.twin, _ = hideFields(t, func(f reflect.StructField) bool { return outside[f.Name] })
	}
	return e, nil
}

// outside sets the headers that the payload carries, and gives its status or 0.
func (e *encoder) outside(payload any, h http.Header) (status int) {
	if e.status < 0 && e.headers == nil {
		return 0
	}
	v := reflect.ValueOf(payload)
	if v.IsNil() {
		return 0
	}
	v = v.Elem()
	for _, f := range e.headers {
		if values := formatTexts(v.Field(f.index)); len(values) > 0 {
			h[f.name] = values
		}
	}
	if e.status >= 0 {
		status = int(v.Field(e.status).Int())
	}
	return status
}

// body gives what is to be encoded.
func (e *encoder) body(payload any) any {
	if e.twin == e.typ {
		return payload
	}
	return reflect.NewAt(e.twin, reflect.ValueOf(payload).UnsafePointer()).Interface()
}

// jsonBuffer collects an answer before its status is sent.
type jsonBuffer struct {
	bytes.Buffer
	enc *json.Encoder
}

// encode writes v and a newline.
func (b *jsonBuffer) encode(v any) error { return b.enc.Encode(v) }

var jsonBuffers = sync.Pool{New: func() any {
	b := new(jsonBuffer)
	b.enc = json.NewEncoder(&b.Buffer)
	b.enc.SetEscapeHTML(false)
	return b
}}

func getJSON() *jsonBuffer { return jsonBuffers.Get().(*jsonBuffer) }

func putJSON(b *jsonBuffer) {
	if b.Cap() <= keepBuffer {
		b.Reset()
		jsonBuffers.Put(b)
	}
}

// formatTexts gives the texts of a header field; none if it is empty.
func formatTexts(v reflect.Value) []string {
	if v.Kind() == reflect.Struct && v.Type().PkgPath() == optionPkg {
		return formatOption(v)
	}
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8 {
		var values []string
		for i := range v.Len() {
			values = append(values, formatTexts(v.Index(i))...)
		}
		return values
	}
	if text := formatText(v); text != "" {
		return []string{text}
	}
	return nil
}

func formatOption(v reflect.Value) []string {
	held := reflect.New(v.Type()).Elem()
	held.Set(v)
	value, present := v.Type().Field(0), v.Type().Field(1)
	base := held.Addr().UnsafePointer()
	if !*(*bool)(unsafe.Add(base, present.Offset)) {
		return nil
	}
	return formatTexts(reflect.NewAt(value.Type, unsafe.Add(base, value.Offset)).Elem())
}

func formatText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Time:
		if x.IsZero() {
			return ""
		}
		return x.Format(time.RFC3339)
	case json.RawMessage:
		return string(x)
	case []byte:
		return base64.URLEncoding.EncodeToString(x)
	case fmt.Stringer:
		return x.String()
	}
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits())
	}
	return ""
}
