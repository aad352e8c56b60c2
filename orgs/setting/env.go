package setting

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ParseEnv reads the operator's layer: one JSON object of key → value. Errors name the key and never
// the value. "" is a layer without values.
func ParseEnv(text string) (map[string]json.RawMessage, error) {
	if text == "" {
		return nil, nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		return nil, errors.New("setting: is not a JSON object of settings")
	}
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(given)) {
		s, ok := Find(key)
		if !ok {
			faults = append(faults, fmt.Errorf("setting: %s is not a setting", key))
			continue
		}
		value, err := s.Parse(given[key])
		if err != nil {
			faults = append(faults, fmt.Errorf("setting: %s %w", key, err))
		}
		given[key] = value
	}
	return given, errors.Join(faults...)
}
