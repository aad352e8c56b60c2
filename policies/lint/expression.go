package lint

import (
	"encoding/json"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// banned are what conditions must not use, and why.
var banned = []struct {
	text *regexp.Regexp
	why  string
}{
	{regexp.MustCompile(`\bhas\(`), "has() plans as always true"},
	{regexp.MustCompile(`\?`), "a conditional leaves the asker in plans"},
	{regexp.MustCompile(`\brequest\.`), "P and R are how attributes are named, so that the linter sees them"},
	{regexp.MustCompile(`\[["']`), "an attribute is named after a dot, so that the linter sees it"},
	{regexp.MustCompile(`\bmatches\(`), "matches() has no translation"},
	{regexp.MustCompile(`\bhierarchy\(`), "hierarchies have no translation"},
	{regexp.MustCompile(`\b(now|timeSince)\(`), "the time is frozen in plans"},
	{regexp.MustCompile(`\bruntime\.`), "derived roles are said by the rule"},
	{regexp.MustCompile(`\battr\.\w+\s*[-+*/%]\s*\d+([^.\d]|$)`), "an attribute is a double: it cannot be added up with an int"},
}

var (
	attribute = regexp.MustCompile(`\b([PR])\.attr\.([a-z_]+)`)
	lists     = regexp.MustCompile(`,\s*\[[^\]]*\]|\bin\s*\[[^\]]*\]`) // of literals
)

// expressions looks at every condition, variable and output of a file.
func (l *linter) expressions(name string, r *resourcePolicy, all *yaml.Node) error {
	known := map[string][]string{}
	for of, ref := range l.refs(name, r) {
		s, err := l.schema(ref)
		if err != nil {
			return err
		}
		known[of] = s.Required
	}
	walk(all, "", func(at, text string) {
		for _, b := range banned {
			if b.text.MatchString(lists.ReplaceAllString(text, "")) {
				l.add(name, at, "%s: %s", text, b.why)
			}
		}
		for _, m := range attribute.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(known[m[1]], m[2]) {
				l.add(name, at, "no schema requires %s", m[0])
			}
		}
	})
	return nil
}

// refs are the schemas that the attributes of a file are required by. What is imported by several
// policies relies on what all of them have.
func (l *linter) refs(name string, r *resourcePolicy) map[string]string {
	out := map[string]string{"P": "cerbos:///principal.json", "R": "cerbos:///resource.json"}
	switch {
	case path.Base(name) == "care_roles.yaml":
		out["R"] = "cerbos:///patient_record.json"
	case r != nil && r.Schemas.ResourceSchema.Ref != "":
		out["R"] = r.Schemas.ResourceSchema.Ref
	}
	return out
}

type schema struct {
	Required   []string
	Properties map[string]any
}

func (l *linter) schema(ref string) (s schema, err error) {
	text, err := fs.ReadFile(l.dir, "_schemas/"+strings.TrimPrefix(ref, "cerbos:///"))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}

// walk calls f with every expression below n, and the name of the rule, role or variable that it is in.
func walk(n *yaml.Node, at string, f func(at, text string)) {
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			walk(c, at, f)
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "name" {
			at = n.Content[i+1].Value
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		switch {
		case key == "expr" || key == "ruleActivated" || key == "conditionNotMet":
			f(at, value.Value)
		case (key == "definitions" || key == "local") && value.Kind == yaml.MappingNode: // variables
			for j := 0; j+1 < len(value.Content); j += 2 {
				f(value.Content[j].Value, value.Content[j+1].Value)
			}
		case (key == "of") && value.Kind == yaml.SequenceNode:
			for _, c := range value.Content {
				walk(c, at, f)
			}
		default:
			walk(value, at, f)
		}
	}
}
