package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A field's schema tag says what its Go type cannot, in JSON Schema's own words:
//
//	Slug  string   `json:"slug" schema:"pattern=^[a-z]{1,63}$"`
//	Roles []string `json:"roles" schema:"minItems=1;items.enum=lead|member"`
//
// Words are separated by semicolons, the values of enum and type by bars; items. speaks of a list's
// elements, values. of a map's. Three words are this package's own: required, for a pointer or a
// parameter that must be there; plain=N, for at most N characters, of which line breaks and tabs are
// the only control characters; and text=N, for the same with at least one that is not blank.
const (
	plainPattern = `^[^\x00-\x08\x0b-\x1f\x7f]*$`
	textPattern  = `^[^\x00-\x08\x0b-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x08\x0b-\x1f\x7f]*$`
)

// words are the parts of a schema tag.
func words(tag string) []string {
	if tag == "" {
		return nil
	}
	return strings.Split(tag, ";")
}

// refined is schema with what the tag says; schema itself stays as it is.
func refined(schema object, tag string) (object, error) {
	if tag == "" {
		return schema, nil
	}
	out := maps.Clone(schema)
	for _, word := range words(tag) {
		key, value, _ := strings.Cut(word, "=")
		target := out
		for prefix, inside := range map[string]string{"items.": "items", "values.": "additionalProperties"} {
			element, ok := strings.CutPrefix(key, prefix)
			if !ok {
				continue
			}
			of, _ := out[inside].(object)
			if of == nil {
				return nil, fmt.Errorf("schema tag %q: %s does not fit the field's type", tag, word)
			}
			target = maps.Clone(of)
			out[inside] = target
			key = element
		}
		if err := refine(target, key, value); err != nil {
			return nil, fmt.Errorf("schema tag %q: %w", tag, err)
		}
	}
	return out, nil
}

func refine(schema object, key, value string) error {
	switch key {
	case "required":
	case "text":
		n, err := strconv.Atoi(value)
		schema["minLength"], schema["maxLength"], schema["pattern"] = 1, n, textPattern
		return err
	case "plain":
		n, err := strconv.Atoi(value)
		schema["maxLength"], schema["pattern"] = n, plainPattern
		return err
	case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minimum", "maximum":
		n, err := strconv.ParseInt(value, 10, 64)
		schema[key] = n
		return err
	case "format", "pattern", "description":
		schema[key] = value
	case "uniqueItems":
		schema[key] = true
	case "enum":
		schema[key] = strings.Split(value, "|")
	case "type":
		if types := strings.Split(value, "|"); len(types) > 1 {
			schema[key] = types
		} else {
			schema[key] = value
		}
	case "default":
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			return fmt.Errorf("default %q is not JSON", value)
		}
		schema[key] = v
	default:
		return fmt.Errorf("%q is no word of it", key)
	}
	return nil
}

func tagRequires(tag string) bool { return slices.Contains(words(tag), "required") }

// nullable adds null to what a schema allows.
func nullable(s object) object {
	t, ok := s["type"].(string)
	switch {
	case len(s) == 0:
		return s // anything, null included
	case !ok:
		return object{"anyOf": []object{s, {"type": "null"}}}
	}
	out := maps.Clone(s)
	out["type"] = []string{t, "null"}
	if enum, ok := s["enum"].([]string); ok {
		values := make([]any, 0, len(enum)+1)
		for _, v := range enum {
			values = append(values, v)
		}
		out["enum"] = append(values, nil)
	}
	return out
}
