package realm

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
)

// identity names, for each list that is merged element by element, the member
// that tells its elements apart. Every other list is replaced as a whole.
var identity = map[string]string{
	"authenticationFlows": "alias",
	"authenticatorConfig": "alias",
	"clients":             "clientId",
	"organizations":       "alias",
	"protocolMappers":     "name",
	"realm":               "name", // roles.realm
	"users":               "username",
}

// Merge reads the files in order, lays each over the one before and returns one
// realm, with Keycloak's ${NAME} and ${NAME:default} placeholders left as they are.
// All files must be about the same realm.
func Merge(files ...string) (map[string]any, error) {
	if len(files) == 0 {
		return nil, errors.New("realm: no realm file given")
	}
	merged := map[string]any{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("realm: %w", err)
		}
		var next map[string]any
		if err := json.Unmarshal(raw, &next); err != nil {
			return nil, fmt.Errorf("realm: %s: %w", file, err)
		}
		if was, ok := merged["realm"]; ok && next["realm"] != was {
			return nil, fmt.Errorf("realm: %s is about realm %v, not %v", file, next["realm"], was)
		}
		overlay(merged, next)
	}
	return merged, nil
}

func overlay(base, top map[string]any) {
	for name, value := range top {
		switch value := value.(type) {
		case map[string]any:
			if under, ok := base[name].(map[string]any); ok {
				overlay(under, value)
				continue
			}
		case []any:
			if under, ok := base[name].([]any); ok && identity[name] != "" {
				base[name] = overlayList(under, value, identity[name])
				continue
			}
		}
		base[name] = value
	}
}

// overlayList merges elements with the same identity and appends the others.
func overlayList(base, top []any, key string) []any {
	at := make(map[any]map[string]any, len(base))
	for _, element := range base {
		if object, ok := element.(map[string]any); ok {
			at[object[key]] = object
		}
	}
	for _, element := range top {
		object, ok := element.(map[string]any)
		if under := at[object[key]]; ok && under != nil {
			overlay(under, object)
			continue
		}
		base = append(base, element)
	}
	return base
}

var placeholder = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}`)

// expand fills placeholders in every string, as Keycloak does on import: from the
// environment, else from the default, else the text stays.
func expand(value any, env func(string) string) any {
	switch value := value.(type) {
	case string:
		return placeholder.ReplaceAllStringFunc(value, func(text string) string {
			part := placeholder.FindStringSubmatch(text)
			if set := env(part[1]); set != "" {
				return set
			}
			if part[2] != "" {
				return part[2]
			}
			return text
		})
	case []any:
		for i := range value {
			value[i] = expand(value[i], env)
		}
	case map[string]any:
		for name := range value {
			value[name] = expand(value[name], env)
		}
	}
	return value
}
