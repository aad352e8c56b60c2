//go:build acceptance

package acceptance

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"encore.app/docs/openapi"
	"github.com/google/uuid"
)

// contractSchema is the part of a schema that limits a value.
type contractSchema struct {
	Ref        string `json:"$ref"`
	Type       any
	Format     string
	Enum       []string
	Properties map[string]contractSchema
	Required   []string
	Items      *contractSchema
	MinLength  *int
	MaxLength  *int
	MinItems   *int
	MaxItems   *int
	Minimum    *int64
	Maximum    *int64
	Pattern    string
}

type contractParameter struct {
	Ref      string `json:"$ref"`
	Name, In string
	Required bool
	Schema   contractSchema
}

type contractOperation struct {
	Parameters  []contractParameter
	RequestBody struct {
		Content map[string]struct{ Schema contractSchema }
	}
}

type contractDocument struct {
	Paths      map[string]map[string]contractOperation
	Components struct {
		Schemas    map[string]contractSchema
		Parameters map[string]contractParameter
	}
}

func contract(t *testing.T) contractDocument {
	t.Helper()
	text, err := openapi.Files.ReadFile("all.json")
	if err != nil {
		t.Fatal(err)
	}
	var d contractDocument
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d contractDocument) schema(s contractSchema) contractSchema {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return d.Components.Schemas[name]
	}
	return s
}

func (d contractDocument) parameter(p contractParameter) contractParameter {
	if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
		return d.Components.Parameters[name]
	}
	return p
}

// valid is a value that a schema allows.
func (d contractDocument) valid(s contractSchema) any {
	s = d.schema(s)
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	kind, _ := s.Type.(string)
	switch kind {
	case "object":
		out := map[string]any{}
		for _, name := range s.Required {
			out[name] = d.valid(s.Properties[name])
		}
		return out
	case "array":
		return []any{d.valid(*s.Items)}
	case "integer", "number":
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	case "boolean":
		return true
	case "string":
		if text, ok := map[string]string{
			"uuid": uuid.NewString(), "email": "a@contract.test", "uri": "https://contract.test/", "date-time": "2099-01-01T00:00:00Z",
		}[s.Format]; ok {
			return text
		}
		return "text"
	}
	return "text"
}

// edges are values at the limits of a schema, and beyond them.
func (d contractDocument) edges(s contractSchema) (inside, beyond []any) {
	s = d.schema(s)
	for _, v := range s.Enum {
		inside = append(inside, v)
	}
	if len(s.Enum) > 0 {
		beyond = append(beyond, "no-such-value")
	}
	if s.MaxLength != nil && s.Format == "" {
		inside, beyond = append(inside, strings.Repeat("a", *s.MaxLength)), append(beyond, strings.Repeat("a", *s.MaxLength+1))
		beyond = append(beyond, "a\x01b")
	}
	if s.MinLength != nil && *s.MinLength > 0 {
		beyond = append(beyond, "")
	}
	if s.Minimum != nil {
		inside, beyond = append(inside, *s.Minimum), append(beyond, *s.Minimum-1)
	}
	if s.Maximum != nil {
		inside, beyond = append(inside, *s.Maximum), append(beyond, *s.Maximum+1)
	}
	if s.MinItems != nil {
		beyond = append(beyond, []any{})
	}
	if s.Items != nil && len(d.schema(*s.Items).Enum) > 0 {
		beyond = append(beyond, []any{"no-such-value"})
	}
	if s.MaxItems != nil && s.Items != nil {
		most := make([]any, *s.MaxItems+1)
		for i := range most {
			most[i] = d.valid(*s.Items)
		}
		beyond = append(beyond, most)
	}
	if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString("-!") {
		beyond = append(beyond, "-!")
	}
	return inside, beyond
}

// powerless is somebody who may not do anything to what is not there, in the audience of a path. A
// request is checked before anybody looks at what it is about, so they are told of its faults all the
// same.
func powerless(t *testing.T, path string) string {
	t.Helper()
	switch {
	case strings.HasPrefix(path, "/api/v1/admin/"):
		return caller{user: "ada@acme.test", client: "admin-console"}.token(t)
	case strings.HasPrefix(path, "/api/v1/org/"):
		return caller{user: "mallory@nowhere.test", client: "org-console"}.token(t)
	}
	return mallory.token(t)
}

var pathParameter = regexp.MustCompile(`\{[a-z_]+\}`)

// Both sides of every limit that the documents state are tried: what they allow is never refused for
// it, and what they forbid is refused by name.
func TestTheDocumentsLimitsAreThoseOfTheApp(t *testing.T) {
	t.Parallel()
	d := contract(t)
	tried := 0
	for path, item := range d.Paths {
		for method, op := range item {
			method, at := strings.ToUpper(method), pathParameter.ReplaceAllStringFunc(path, func(string) string { return uuid.NewString() })
			send := func(query url.Values, body any) failure {
				tried++
				var f failure
				r := call(t, powerless(t, path), method, at+"?"+query.Encode(), body, withKey(unique("contract")))
				if r.status >= http.StatusBadRequest {
					_ = json.Unmarshal(r.body, &f)
				}
				if r.status >= http.StatusInternalServerError {
					t.Errorf("%s %s?%s %v: %d %s", method, path, query.Encode(), body, r.status, r.body)
				}
				return f
			}
			query := url.Values{}
			var limited []contractParameter
			for _, p := range op.Parameters {
				if p = d.parameter(p); p.In == "query" {
					limited = append(limited, p)
					if p.Required {
						query.Set(p.Name, "1")
					}
				}
			}
			var whole any
			body := d.schema(op.RequestBody.Content["application/json"].Schema)
			if body.Properties != nil {
				whole = d.valid(body)
			}
			for _, p := range limited {
				inside, beyond := d.edges(p.Schema)
				try(t, method+" "+path, p.Name, inside, beyond, func(v any) failure {
					with := maps.Clone(query)
					with.Set(p.Name, textOf(v))
					return send(with, whole)
				})
			}
			for name, property := range body.Properties {
				with := func(v any) failure {
					changed := maps.Clone(whole.(map[string]any))
					if changed[name] = v; v == nil {
						delete(changed, name)
					}
					return send(query, changed)
				}
				inside, beyond := d.edges(property)
				if slices.Contains(body.Required, name) {
					beyond = append(beyond, nil) // left out
				}
				try(t, method+" "+path, name, inside, beyond, with)
			}
		}
	}
	if tried < 200 {
		t.Errorf("only %d requests were made: this test proves little", tried)
	}
}

func try(t *testing.T, operation, name string, inside, beyond []any, send func(any) failure) {
	t.Helper()
	names := func(f failure) bool {
		// What Encore itself refuses, before any code of the app runs, names no fields.
		if !stockHost && len(f.Details.Fields) == 0 && f.Code == "invalid_argument" {
			return true
		}
		for _, field := range f.Details.Fields {
			if field.Field == name || strings.HasPrefix(field.Field, name+"[") || strings.HasPrefix(field.Field, name+".") {
				return true
			}
		}
		return false
	}
	for _, v := range inside {
		if f := send(v); names(f) && f.Details.Reason != "" {
			t.Errorf("%s: %s is allowed to be %.60v and is refused: %+v", operation, name, v, f)
		}
	}
	for _, v := range beyond {
		if f := send(v); f.reason() != "validation_failed" || !names(f) {
			t.Errorf("%s: %s must not be %.60v and is not refused for it: %+v", operation, name, v, f)
		}
	}
}

func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	}
	text, _ := json.Marshal(v)
	return string(text)
}
