//go:build acceptance && local

package acceptance

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// schema is a JSON schema, as far as the document uses it.
type schema map[string]any

// apiDocument is the OpenAPI document, as far as a fuzzer needs it.
type apiDocument struct {
	Paths      map[string]map[string]apiOperation
	Components struct {
		Schemas    map[string]schema
		Parameters map[string]apiParameter
	}
}

type apiOperation struct {
	ID          string `json:"operationId"`
	Parameters  []apiParameter
	RequestBody *struct {
		Content map[string]struct{ Schema schema }
	}
	Responses map[string]struct {
		Ref     string `json:"$ref"`
		Content map[string]struct{ Schema schema }
	}
	Security []map[string]any
}

type apiParameter struct {
	Ref      string `json:"$ref"`
	Name, In string
	Required bool
	Schema   schema
}

// whole is p without indirection.
func (d *apiDocument) whole(p apiParameter) apiParameter {
	if p.Ref != "" {
		return d.Components.Parameters[p.Ref[strings.LastIndex(p.Ref, "/")+1:]]
	}
	return p
}

// resolve is s without indirection.
func (d *apiDocument) resolve(s schema) schema {
	if name, ok := s["$ref"].(string); ok {
		return d.Components.Schemas[name[strings.LastIndex(name, "/")+1:]]
	}
	return s
}

func sub(s schema, keyword string) schema {
	m, _ := s[keyword].(map[string]any)
	return m
}

func bound(s schema, keyword string, fallback int) int {
	if n, ok := s[keyword].(float64); ok {
		return int(math.Min(n, math.MaxInt32))
	}
	return fallback
}

// kinds are the types that s allows.
func kinds(s schema) []string {
	switch t := s["type"].(type) {
	case string:
		return []string{t}
	case []any:
		var out []string
		for _, k := range t {
			out = append(out, fmt.Sprint(k))
		}
		return out
	}
	return nil
}

// valid makes a value that s allows; name is a hint at what a text should be.
func (f *fuzzer) valid(s schema, name string, depth int) any {
	s = f.doc.resolve(s)
	if options, ok := s["enum"].([]any); ok {
		return options[f.rand.IntN(len(options))]
	}
	if options, ok := s["anyOf"].([]any); ok {
		option, _ := options[f.rand.IntN(len(options))].(map[string]any)
		return f.valid(option, name, depth)
	}
	types := kinds(s)
	if len(types) == 0 || depth > 5 {
		return []any{true, 7, "text", nil, "de", "30m", []any{"text"}}[f.rand.IntN(7)]
	}
	switch types[f.rand.IntN(len(types))] {
	case "boolean":
		return f.rand.IntN(2) == 0
	case "integer", "number":
		low := bound(s, "minimum", 0)
		high := max(low, bound(s, "maximum", low+50))
		return []int{low, high, low + f.rand.IntN(high-low+1)}[f.rand.IntN(3)]
	case "array":
		n := bound(s, "minItems", 0) + f.rand.IntN(3)
		list := []any{}
		for range n {
			list = append(list, f.valid(sub(s, "items"), name, depth+1))
		}
		return list
	case "object":
		return f.validObject(s, depth)
	case "null":
		return nil
	}
	return f.text(s, name)
}

func (f *fuzzer) validObject(s schema, depth int) map[string]any {
	out := map[string]any{}
	required := fmt.Sprint(s["required"])
	properties := sub(s, "properties")
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		p, _ := properties[name].(map[string]any)
		if f.rand.IntN(2) == 0 || slices.Contains(strings.Fields(strings.Trim(required, "[]")), name) {
			out[name] = f.valid(p, name, depth+1)
		}
	}
	if values, ok := s["additionalProperties"].(map[string]any); ok {
		out["sso"] = f.valid(values, "", depth+1)
	}
	return out
}

// text makes a text that s allows.
func (f *fuzzer) text(s schema, name string) string {
	switch s["format"] {
	case "uuid":
		return f.id(name)
	case "date-time":
		return time.Date(2026, 1, 1+f.rand.IntN(365), 0, 0, 0, 0, time.UTC).Format(time.RFC3339)
	case "email":
		return fmt.Sprintf("%s-%d@fuzz.test", canaryBody, f.rand.IntN(1e9))
	case "uri":
		return "https://hooks.fuzz.test/" + canaryBody
	}
	switch pattern, _ := s["pattern"].(string); {
	case strings.HasPrefix(pattern, "^[a-z0-9]("):
		return fmt.Sprintf("fuzz-%d", f.rand.IntN(1e9))
	case name == "If-Match":
		return []string{"*", "*", "*", `"1"`, `"2"`, `W/"1"`}[f.rand.IntN(6)]
	case strings.HasPrefix(pattern, "^[0-9]"):
		return strconv.Itoa(f.rand.IntN(1000))
	}
	if name == "url" {
		return "https://hooks.fuzz.test/" + canaryBody
	}
	n := min(bound(s, "maxLength", 40), 200)
	long := strings.Repeat("ü", n)
	texts := []string{canaryBody, "x", "Ärger & <b>'\"\\ %00 😀", long}
	if text := texts[f.rand.IntN(len(texts))]; utf8.RuneCountInString(text) <= n {
		return text
	}
	return "x"
}

// odd are values that hardly anything allows.
var odd = []any{
	nil, true, -1, 1e300, "", " ", "\x00", "a\r\nb: c", strings.Repeat("a", 70_000), "../../etc/passwd", "' or 1=1 --", "${jndi:x}",
	"\u202e\ufeff", []any{}, map[string]any{}, []any{[]any{[]any{nil}}}, "not-a-uuid", "9999-99-99T99:99:99Z", json.Number("12345678901234567890"),
}

// broken is body with one thing wrong, as text.
func (f *fuzzer) broken(body any) string {
	object, _ := body.(map[string]any)
	if names := slices.Sorted(maps.Keys(object)); len(names) > 0 && f.rand.IntN(3) > 0 {
		name := names[f.rand.IntN(len(names))]
		switch f.rand.IntN(4) {
		case 0:
			delete(object, name)
		case 1:
			object["id"], object["org_id"], object["owner_id"] = globex, globex, globex
		default:
			object[name] = odd[f.rand.IntN(len(odd))]
		}
		return encoded(object)
	}
	text := encoded(body)
	return []string{
		"", "null", "[]", `"x"`, "{", text + "x", text[:len(text)/2], "{\"a\":\"\xff\"}", strings.Repeat("[", 5000), `{"a":1,"a":2}`,
		strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200), `{"a":"` + strings.Repeat("a", 2<<20) + `"}`, "\x00", "\ufeff" + text,
	}[f.rand.IntN(14)]
}

func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // the values are all this file's
	}
	return string(text)
}

// newRand is a source of choices that a seed repeats.
func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// differs says where v is not what s describes; "" if it is.
func (d *apiDocument) differs(s schema, v any, at string) string {
	s = d.resolve(s)
	if options, ok := s["anyOf"].([]any); ok {
		why := ""
		for _, o := range options {
			option, _ := o.(map[string]any)
			if why = d.differs(option, v, at); why == "" {
				return ""
			}
		}
		return why
	}
	if options, ok := s["enum"].([]any); ok && !slices.Contains(options, v) {
		return fmt.Sprintf("%s: %v is none of %v", at, v, options)
	}
	if allowed := kinds(s); len(allowed) > 0 && !slices.ContainsFunc(allowed, func(k string) bool { return isKind(k, v) }) {
		return fmt.Sprintf("%s: %v is not of type %v", at, v, allowed)
	}
	switch v := v.(type) {
	case string:
		if pattern, ok := s["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(v) {
			return fmt.Sprintf("%s: %q is not like %s", at, v, pattern)
		}
	case []any:
		for i, item := range v {
			if why := d.differs(sub(s, "items"), item, fmt.Sprintf("%s[%d]", at, i)); why != "" {
				return why
			}
		}
	case map[string]any:
		return d.objectDiffers(s, v, at)
	}
	return ""
}

func (d *apiDocument) objectDiffers(s schema, v map[string]any, at string) string {
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, there := v[fmt.Sprint(name)]; !there {
			return fmt.Sprintf("%s: %v is missing", at, name)
		}
	}
	properties := sub(s, "properties")
	values, others := s["additionalProperties"].(map[string]any)
	for name, value := range v {
		p, known := properties[name].(map[string]any)
		switch {
		case known:
		case others:
			p = values
		case properties != nil:
			return fmt.Sprintf("%s: nothing describes %s", at, name)
		}
		if why := d.differs(p, value, at+"."+name); why != "" {
			return why
		}
	}
	return ""
}

func isKind(kind string, v any) bool {
	switch v := v.(type) {
	case nil:
		return kind == "null"
	case bool:
		return kind == "boolean"
	case string:
		return kind == "string"
	case []any:
		return kind == "array"
	case map[string]any:
		return kind == "object"
	case float64:
		return kind == "number" || kind == "integer" && v == math.Trunc(v)
	}
	return false
}
