package main

import (
	"encoding/json"
	"slices"
	"strings"
)

// document is the part of an OpenAPI document that a client is made of.
type document struct {
	Info       struct{ Title, Description string }
	Paths      map[string]map[string]operation
	Components struct {
		Schemas    map[string]schema
		Parameters map[string]parameter
	}
}

type operation struct {
	OperationID string
	Description string
	Parameters  []parameter
	RequestBody *struct{ Content map[string]media }
	Responses   map[string]struct{ Content map[string]media }
}

type media struct{ Schema *schema }

type parameter struct {
	Ref         string `json:"$ref"`
	Name, In    string
	Description string
	Required    bool
	Schema      schema
}

type schema struct {
	Ref                  string `json:"$ref"`
	Type                 types
	Format               string
	Description          string
	Enum                 []any
	Properties           map[string]schema
	Required             []string
	Items                *schema
	AdditionalProperties *additional
	AnyOf                []schema
}

// types is "type", one or several.
type types []string

// UnmarshalJSON takes a string or a list of them.
func (t *types) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*t = types{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(t))
}

// additional is "additionalProperties": a schema, or false.
type additional struct{ schema *schema }

// UnmarshalJSON takes a schema or a boolean.
func (a *additional) UnmarshalJSON(text []byte) error {
	var allowed bool
	if json.Unmarshal(text, &allowed) == nil {
		return nil
	}
	return json.Unmarshal(text, &a.schema)
}

// nullable says that s allows null, and gives what else it allows.
func (s schema) nullable() (schema, bool) {
	if len(s.AnyOf) == 2 && slices.Equal(s.AnyOf[1].Type, types{"null"}) {
		return s.AnyOf[0], true
	}
	if i := slices.Index(s.Type, "null"); i >= 0 {
		s.Type = slices.Delete(slices.Clone(s.Type), i, i+1)
		return s, true
	}
	return s, false
}

func (d *document) parameter(p parameter) parameter {
	if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
		return d.Components.Parameters[name]
	}
	return p
}

// success is the schema of an operation's answer; stream says that it is not JSON.
func (o operation) success() (answer *schema, stream bool) {
	for status, r := range o.Responses {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		if m, ok := r.Content["application/json"]; ok {
			return m.Schema, false
		}
		stream = status == "2XX"
	}
	return nil, stream
}
