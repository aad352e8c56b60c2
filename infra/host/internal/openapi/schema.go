package openapi

import (
	"fmt"
	"go/token"
	"go/types"
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
}

func newSchemas(a *app.App) *schemas {
	return &schemas{app: a, components: object{}, names: map[string]string{"": "Error"}}
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

// nullable adds null to what a schema allows.
func nullable(s object) object {
	if t, ok := s["type"].(string); ok {
		out := object{}
		for k, v := range s {
			out[k] = v
		}
		out["type"] = []string{t, "null"}
		return out
	}
	if len(s) == 0 {
		return s // anything, null included
	}
	return object{"anyOf": []object{s, {"type": "null"}}}
}

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
		return s.of(t.Underlying())
	}
	full := types.TypeString(t, nil)
	name, ok := s.names[full]
	if !ok {
		name = s.componentName(t)
		s.names[full] = name // before the fields: a type may contain itself
		s.components[name] = s.object(structFields(st))
	}
	return ref(name)
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
		if name == "" {
			name = v.Name()
		}
		o := strings.Split(opts, ",")
		out = append(out, jsonField{name: name, typ: v.Type(), pos: v.Pos(), optional: slices.Contains(o, "omitempty") ||
			slices.Contains(o, "omitzero") || slices.Contains(strings.Split(tag.Get("encore"), ","), "optional")})
	}
	return out
}

func (s *schemas) object(fields []jsonField) object {
	properties := object{}
	required := []string{}
	for _, f := range fields {
		schema := s.of(f.typ)
		if doc := s.app.FieldDoc(f.pos); doc != "" {
			described := object{"description": doc}
			for k, v := range schema {
				described[k] = v // 3.1 allows keywords beside $ref
			}
			schema = described
		}
		properties[f.name] = schema
		if !f.optional && !mayBeNull(f.typ) {
			required = append(required, f.name)
		}
	}
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
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
