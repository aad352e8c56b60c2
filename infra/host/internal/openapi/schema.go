package openapi

import (
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"encore.app/infra/host/internal/app"
)

// schemas turns Go types into JSON schemas; named structs become components.
type schemas struct {
	app        *app.App
	components object
	names      map[string]string // type, written in full → component
	err        error             // the first schema tag that makes no sense

	// answering says that a response is being described. A request's nil pointer is a field that was
	// left out, a response's is a null; and a request has no fields but those that are described.
	answering bool
}

func newSchemas(a *app.App) *schemas {
	return &schemas{app: a, components: object{}, names: map[string]string{"": "Error"}}
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func (s *schemas) of(t types.Type) object {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		return s.named(t)
	case *types.Basic:
		return kindSchema(t.Name())
	case *types.Pointer:
		return nullable(s.of(t.Elem()))
	case *types.Slice:
		if b, ok := t.Elem().(*types.Basic); ok && b.Kind() == types.Byte {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": s.of(t.Elem())}
	case *types.Array:
		return object{"type": "array", "items": s.of(t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case *types.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case *types.Struct:
		return s.object(structFields(t))
	default:
		return object{}
	}
}

// wellKnown are types whose JSON form their fields do not tell.
var wellKnown = map[string]object{
	"time.Time":                  {"type": "string", "format": "date-time"},
	"encore.dev/types/uuid.UUID": {"type": "string", "format": "uuid"},
	"encore.dev/beta/auth.UID":   {"type": "string"},
	"encoding/json.RawMessage":   {},
}

func (s *schemas) named(t *types.Named) object {
	if pkg := t.Obj().Pkg(); pkg != nil {
		full := pkg.Path() + "." + t.Obj().Name()
		if known, ok := wellKnown[full]; ok {
			return known
		}
		if full == "encore.dev/types/option.Option" {
			return nullable(s.of(t.TypeArgs().At(0)))
		}
	}
	switch {
	case hasMethod(t, "MarshalJSON"):
		return object{} // it could be anything
	case hasMethod(t, "MarshalText"):
		return object{"type": "string"}
	}
	st, ok := t.Underlying().(*types.Struct)
	if !ok {
		out := s.of(t.Underlying())
		if values := values(t); len(values) > 0 {
			out["enum"] = values
		}
		return out
	}
	full := types.TypeString(t, nil)
	if s.answering {
		full = "answer " + full
	}
	name, ok := s.names[full]
	if !ok {
		name = s.componentName(t)
		s.names[full] = name // before the fields: a type may contain itself
		component := s.object(structFields(st))
		if doc := s.typeDoc(t); doc != "" {
			component["description"] = doc
		}
		s.components[name] = component
	}
	return ref(name)
}

// typeDoc is the comment of a type of the app.
func (s *schemas) typeDoc(t *types.Named) string {
	for _, p := range s.app.Packages {
		if p.Types == t.Obj().Pkg() {
			return prose(t.Obj().Name(), p.Doc(t.Obj().Name()))
		}
	}
	return ""
}

// values are the constants of a type of text, in the order of their declaration.
func values(t *types.Named) []string {
	pkg := t.Obj().Pkg()
	if b, ok := t.Underlying().(*types.Basic); !ok || b.Kind() != types.String || pkg == nil {
		return nil
	}
	var found []*types.Const
	for _, name := range pkg.Scope().Names() {
		if c, ok := pkg.Scope().Lookup(name).(*types.Const); ok && types.Identical(c.Type(), t) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b *types.Const) int { return int(a.Pos() - b.Pos()) })
	out := make([]string, len(found))
	for i, c := range found {
		out[i] = constant.StringVal(c.Val())
	}
	return out
}

func hasMethod(t types.Type, name string) bool {
	m, _, _ := types.LookupFieldOrMethod(types.NewPointer(t), true, nil, name)
	_, ok := m.(*types.Func)
	return ok
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// componentName is service.Type; a second type of that name gets a number.
func (s *schemas) componentName(t *types.Named) string {
	name := types.TypeString(t, func(p *types.Package) string { return p.Name() })
	name = strings.Trim(notInName.ReplaceAllString(name, "_"), "_")
	taken := func(n string) bool {
		for _, used := range s.names {
			if used == n {
				return true
			}
		}
		return false
	}
	unique := name
	for i := 2; taken(unique); i++ {
		unique = fmt.Sprintf("%s_%d", name, i)
	}
	return unique
}

// jsonField is one property of an object.
type jsonField struct {
	name     string
	typ      types.Type
	pos      token.Pos
	optional bool
	schema   string // the tag
}

func structFields(st *types.Struct) []jsonField {
	var out []jsonField
	for i := range st.NumFields() {
		v := st.Field(i)
		tag := reflect.StructTag(st.Tag(i))
		name, opts, _ := strings.Cut(tag.Get("json"), ",")
		if !v.Exported() || tag.Get("json") == "-" {
			continue
		}
		if tag.Get("header") != "" && (tag.Get("json") == "" || strings.Contains(opts, "omitempty")) {
			continue // travels in a header; what is left of it in lists is never filled
		}
		if name == "" {
			name = v.Name()
		}
		o := strings.Split(opts, ",")
		out = append(out, jsonField{name: name, typ: v.Type(), pos: v.Pos(), schema: tag.Get("schema"), optional: slices.Contains(o, "omitempty") ||
			slices.Contains(o, "omitzero") || slices.Contains(strings.Split(tag.Get("encore"), ","), "optional")})
	}
	return out
}

func (s *schemas) object(fields []jsonField) object {
	properties := object{}
	required := []string{}
	for _, f := range fields {
		properties[f.name] = s.property(f)
		if !f.optional && (s.answering || !mayBeNull(f.typ)) || tagRequires(f.schema) {
			required = append(required, f.name)
		}
	}
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	if !s.answering {
		out["additionalProperties"] = false
	}
	return out
}

func (s *schemas) property(f jsonField) object {
	schema := s.tagged(s.of(given(f.typ)), f.schema)
	if mayBeNull(f.typ) && s.answering && !f.optional {
		schema = nullable(schema)
	}
	return described(schema, s.app.FieldDoc(f.pos))
}

// tagged is schema with what the field's tag says.
func (s *schemas) tagged(schema object, tag string) object {
	out, err := refined(schema, tag)
	if err != nil {
		if s.err == nil {
			s.err = err
		}
		return schema
	}
	return out
}

// described is schema with a description; 3.1 allows keywords beside $ref.
func described(schema object, doc string) object {
	if doc == "" {
		return schema
	}
	out := maps.Clone(schema)
	if out["description"] == nil {
		out["description"] = doc
	}
	return out
}

// given is a field's type when it is there at all: without the pointer or option.Option around it.
func given(t types.Type) types.Type {
	switch n := types.Unalias(t).(type) {
	case *types.Pointer:
		return n.Elem()
	case *types.Named:
		if mayBeNull(n) {
			return n.TypeArgs().At(0)
		}
	}
	return t
}

func mayBeNull(t types.Type) bool {
	switch t := types.Unalias(t).(type) {
	case *types.Pointer:
		return true
	case *types.Named:
		return t.Obj().Name() == "Option" && t.Obj().Pkg() != nil && t.Obj().Pkg().Path() == "encore.dev/types/option"
	}
	return false
}

// kindSchema is the schema of a builtin type, or of a path parameter's uuid.UUID.
func kindSchema(kind string) object {
	switch kind {
	case "bool":
		return object{"type": "boolean"}
	case "float32", "float64":
		return object{"type": "number"}
	case "string":
		return object{"type": "string"}
	case "uuid.UUID":
		return object{"type": "string", "format": "uuid"}
	case "int8", "int16", "int32":
		return object{"type": "integer", "format": "int32"}
	case "uint", "uint8", "uint16", "uint32", "uint64", "byte":
		return object{"type": "integer", "minimum": 0}
	default:
		return object{"type": "integer", "format": "int64"}
	}
}
