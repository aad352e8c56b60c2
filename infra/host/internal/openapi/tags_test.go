package openapi

import (
	"encoding/json"
	"testing"
)

func TestASchemaTagRefinesItsField(t *testing.T) {
	t.Parallel()
	list := object{"type": "array", "items": object{"type": "string"}}
	for _, c := range []struct {
		schema    object
		tag, want string
	}{
		{object{"type": "string"}, "", `{"type":"string"}`},
		{object{"type": "string"}, "enum=a|b", `{"enum":["a","b"],"type":"string"}`},
		{object{}, "type=string|null;format=uuid", `{"format":"uuid","type":["string","null"]}`},
		{object{"type": "integer"}, "minimum=0;maximum=9;default=3", `{"default":3,"maximum":9,"minimum":0,"type":"integer"}`},
		{list, "minItems=1;uniqueItems;items.enum=a", `{"items":{"enum":["a"],"type":"string"},"minItems":1,"type":"array","uniqueItems":true}`},
		{object{"type": "object", "additionalProperties": object{}}, "values.enum=a", `{"additionalProperties":{"enum":["a"]},"type":"object"}`},
		{object{"type": "string"}, "plain=5", `{"maxLength":5,"pattern":"^[^\\x00-\\x08\\x0b-\\x1f\\x7f]*$","type":"string"}`},
	} {
		got, err := refined(c.schema, c.tag)
		if err != nil {
			t.Errorf("%q: %v", c.tag, err)
		}
		if text, _ := json.Marshal(got); string(text) != c.want {
			t.Errorf("%q: got %s, want %s", c.tag, text, c.want)
		}
	}
	if text, _ := json.Marshal(list); string(text) != `{"items":{"type":"string"},"type":"array"}` {
		t.Errorf("the schema that was refined is changed itself: %s", text)
	}
	for _, tag := range []string{"longest=5", "maxLength=many", "items.enum=a", "default=x"} {
		if _, err := refined(object{"type": "string"}, tag); err == nil {
			t.Errorf("%q passed", tag)
		}
	}
}

func TestNullJoinsTypeAndEnum(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		schema object
		want   string
	}{
		{object{"type": "string", "enum": []string{"a"}}, `{"enum":["a",null],"type":["string","null"]}`},
		{ref("x"), `{"anyOf":[{"$ref":"#/components/schemas/x"},{"type":"null"}]}`},
		{object{}, `{}`},
	} {
		if text, _ := json.Marshal(nullable(c.schema)); string(text) != c.want {
			t.Errorf("got %s, want %s", text, c.want)
		}
	}
}

func TestCommentsLoseTheirGoName(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		"Foo makes a bar.": "Makes a bar.", "Foo is a bar.": "A bar.", "Foo are bars.": "Bars.",
		"Makes a bar.": "Makes a bar.", "Foobar makes a bar.": "Foobar makes a bar.",
	} {
		if got := prose("Foo", doc); got != want {
			t.Errorf("%q: got %q, want %q", doc, got, want)
		}
	}
}
