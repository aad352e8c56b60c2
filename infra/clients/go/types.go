package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// types writes every component.
func (g *generator) types(b *strings.Builder) {
	for _, name := range slices.Sorted(maps.Keys(g.Components.Schemas)) {
		s := g.Components.Schemas[name]
		comment(b, strings.TrimSuffix(g.names[name]+": "+s.Description, ": "))
		fmt.Fprintf(b, "type %s %s\n\n", g.names[name], g.typeOf(s))
	}
}

// typeOf is a schema as a Go type.
func (g *generator) typeOf(s schema) string {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return g.names[name]
	}
	if inner, null := s.nullable(); null {
		return pointerTo(g.typeOf(inner))
	}
	if len(s.Type) != 1 {
		return "json.RawMessage"
	}
	switch s.Type[0] {
	case "string":
		if s.Format == "date-time" {
			return "time.Time"
		}
		return "string"
	case "integer":
		return "int64"
	case "number":
		return "float64"
	case "boolean":
		return "bool"
	case "array":
		return "[]" + g.typeOf(*s.Items)
	}
	switch {
	case s.AdditionalProperties != nil && s.AdditionalProperties.schema != nil:
		return "map[string]" + g.typeOf(*s.AdditionalProperties.schema)
	case s.Properties == nil:
		return "map[string]any"
	}
	return g.structOf(s)
}

func (g *generator) structOf(s schema) string {
	var b strings.Builder
	b.WriteString("struct {\n")
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		t, tag := g.typeOf(p), name
		if !slices.Contains(s.Required, name) {
			tag += ",omitzero"
			if inner, null := p.nullable(); null {
				t = "client.Maybe[" + g.typeOf(inner) + "]"
			} else {
				t = pointerTo(t)
			}
		}
		about := p.Description
		if len(p.Enum) > 0 {
			if values := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(p.Enum)), ", "), "[]"); about != values {
				about = strings.TrimSpace(about + " (" + values + ")")
			}
		}
		fmt.Fprintf(&b, "%s %s `json:%q`%s\n", exported(name), t, tag, trailing(about))
	}
	b.WriteString("}")
	return b.String()
}

// pointerTo is a type that can also be absent.
func pointerTo(t string) string {
	if strings.HasPrefix(t, "[]") || strings.HasPrefix(t, "map[") || t == "json.RawMessage" {
		return t
	}
	return "*" + t
}
