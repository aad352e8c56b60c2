package app

import (
	"go/token"
	"go/types"
	"reflect"
)

// checkScalar holds for what travels as text: builtins, a few well-known types, option.Option of
// them, and slices.
func (ps payloads) checkScalar(f *Field, where string) {
	t := types.Unalias(f.Type)
	if isByteSlice(t) || isNamed(t, "encoding/json", "RawMessage") {
		return
	}
	if s, ok := t.(*types.Slice); ok {
		t = types.Unalias(s.Elem())
	} else if n, ok := t.(*types.Named); ok && isNamed(n, "encore.dev/types/option", "Option") && n.TypeArgs().Len() == 1 {
		t = types.Unalias(n.TypeArgs().At(0))
	}
	switch t := t.(type) {
	case *types.Basic:
		if t.Info()&(types.IsBoolean|types.IsNumeric|types.IsString) != 0 && t.Info()&types.IsComplex == 0 && t.Kind() != types.Uintptr {
			return
		}
	case *types.Pointer:
		ps.diags.Addf(f.Pos, "%s field %s is a pointer (%s); use option.Option or the plain type", where, f.Name, short(f.Type))
		return
	case *types.Named:
		if isNamed(t, "time", "Time") || isNamed(t, "encore.dev/types/uuid", "UUID") || isNamed(t, "encore.dev/beta/auth", "UID") || isNamed(t, "encoding/json", "RawMessage") {
			return
		}
		ps.diags.Addf(f.Pos, "%s field %s has the named type %s; use the plain type and check it in Validate", where, f.Name, short(f.Type))
		return
	case *types.Slice:
		if isByteSlice(t) {
			return
		}
	}
	ps.diags.Addf(f.Pos, "%s field %s has type %s, which cannot travel in a %s; use a builtin, time.Time, uuid.UUID or a slice of them", where, f.Name, short(f.Type), where)
}

// checkBody walks a JSON field's type for what Encore refuses in payloads.
func (ps payloads) checkBody(t types.Type, pos token.Pos, name string, seen map[types.Type]bool) {
	t = types.Unalias(t)
	if seen[t] {
		return
	}
	seen[t] = true
	switch u := t.(type) {
	case *types.Named:
		if wellKnown(u) {
			return
		}
		if isNamed(u, "encore.dev/types/option", "Option") {
			ps.checkBody(u.TypeArgs().At(0), pos, name, seen)
			return
		}
		ps.checkBody(u.Underlying(), pos, name, seen)
	case *types.Pointer:
		ps.checkBody(u.Elem(), pos, name, seen)
	case *types.Slice:
		ps.checkBody(u.Elem(), pos, name, seen)
	case *types.Array:
		ps.checkBody(u.Elem(), pos, name, seen)
	case *types.Map:
		if b, ok := u.Key().Underlying().(*types.Basic); !ok || b.Info()&(types.IsString|types.IsInteger) == 0 {
			ps.diags.Addf(pos, "field %s is a map whose keys are %s; use string or integer keys", name, short(u.Key()))
		}
		ps.checkBody(u.Elem(), pos, name, seen)
	case *types.Struct:
		for i := range u.NumFields() {
			v := u.Field(i)
			if v.Embedded() {
				ps.diags.Addf(v.Pos(), "embedded field %s in a payload; name the field or copy its fields", v.Name())
			} else if v.Exported() && reflect.StructTag(u.Tag(i)).Get("json") != "-" {
				ps.checkBody(v.Type(), v.Pos(), v.Name(), seen)
			}
		}
	case *types.Interface:
		ps.diags.Addf(pos, "field %s is an interface; payload fields must have concrete types, json.RawMessage for free-form JSON", name)
	case *types.Signature, *types.Chan:
		ps.diags.Addf(pos, "field %s has type %s, which cannot travel in a payload; remove it", name, short(t))
	case *types.Basic:
		if u.Info()&types.IsComplex != 0 || u.Kind() == types.UnsafePointer {
			ps.diags.Addf(pos, "field %s has type %s, which JSON cannot hold", name, short(t))
		}
	}
}

// wellKnown are structs and slices that Encore encodes as one value.
func wellKnown(n *types.Named) bool {
	return isNamed(n, "time", "Time") || isNamed(n, "encore.dev/types/uuid", "UUID") ||
		isNamed(n, "encoding/json", "RawMessage") || isNamed(n, "encore.dev/beta/auth", "UID")
}

func isNamed(t types.Type, pkg, name string) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Name() == name && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == pkg
}

func isByteSlice(t types.Type) bool {
	s, ok := t.(*types.Slice)
	if !ok {
		return false
	}
	b, ok := s.Elem().(*types.Basic)
	return ok && b.Kind() == types.Byte
}

func short(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string { return p.Name() })
}
