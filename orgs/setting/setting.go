package setting

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// Type says what the values of a setting are.
type Type string

// The types, and their JSON.
const (
	String     Type = "string"
	Integer    Type = "integer"
	Boolean    Type = "boolean"
	Enum       Type = "enum"        // one of Options
	StringList Type = "string_list" // an array of different strings
	Duration   Type = "duration"    // "90m", "168h"
)

// Setting is one entry of the registry.
type Setting struct {
	Key         string
	Description string
	Type        Type
	Options     []string       // of an Enum
	Pattern     *regexp.Regexp // of a String, or of each of a StringList
	Format      string         // what Pattern asks for, in words
	// Min and Max bound an Integer's value, a String's characters, a StringList's entries and a
	// Duration's seconds.
	Min, Max int64
	Default  string            // JSON
	Tiers    map[string]string // tier → JSON
	// Secret values go in and never come out.
	Secret bool
	// PlatformOnly settings have no layer of the organisation's.
	PlatformOnly bool
}

// Source is the layer that decided.
type Source string

// The layers, lowest first.
const (
	FromDefault Source = "default"
	FromEnv     Source = "env"
	FromGlobal  Source = "global"
	FromTier    Source = "tier"
	FromOrg     Source = "org"
)

// Layers are what one setting was given. A layer without a value is nil.
type Layers struct {
	Env, Global, Org json.RawMessage
	// Locked takes the organisation's layer away.
	Locked bool
	// Tier is the organisation's; "" asks for the platform's own view.
	Tier string
}

// Resolved is the value that counts, and why.
type Resolved struct {
	Value  json.RawMessage
	Source Source
	Locked bool // the organisation may not set it
}

// Resolve finds the value that counts. There always is one.
func (s *Setting) Resolve(l Layers) Resolved {
	out := Resolved{Value: json.RawMessage(s.Default), Source: FromDefault, Locked: l.Locked || s.PlatformOnly}
	layers := []struct {
		source Source
		value  json.RawMessage
	}{
		{FromEnv, l.Env}, {FromGlobal, l.Global}, {FromTier, json.RawMessage(s.Tiers[l.Tier])}, {FromOrg, l.Org},
	}
	for _, layer := range layers {
		if len(layer.value) == 0 || (layer.source == FromOrg && out.Locked) {
			continue
		}
		if value, err := s.Parse(layer.value); err == nil {
			out.Value, out.Source = value, layer.source
		}
	}
	return out
}

// All is the registry, sorted by key. It must not be changed.
func All() []*Setting { return registry }

// Find is the setting of a key; ok is false if there is none.
func Find(key string) (s *Setting, ok bool) {
	i, ok := slices.BinarySearchFunc(registry, key, func(s *Setting, key string) int { return strings.Compare(s.Key, key) })
	if !ok {
		return nil, false
	}
	return registry[i], true
}
