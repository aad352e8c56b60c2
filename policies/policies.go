// Package policies is the bundle that the policy decision point serves, and what
// the application knows about it: the names, the vocabulary and the digest.
//
// One YAML file is one policy. A resource policy lists what holds for everyone
// first, as denials for every role with a constant reason, and who may after it;
// nothing that is not allowed there is. The questions that guardrails ask are in
// variables.yaml, what a role includes in org_roles.yaml and its neighbours, the
// attributes that they rely on in _schemas. The tests are in tests, one suite a
// policy: whatever a suite does not list is expected to be denied.
// make policies runs them, looks for traps (package lint), counts which rules decide and hold back on
// which actions, and translates the plan of every action;
// make mutate-policies breaks each rule in turn to see them notice.
//
// bundle.yaml carries the digest of all others, through which the decision point tells what it
// serves: go generate after a change. examples/stricter shows how an organisation tightens its rules.
//
// The bundle needs a decision point with engine.strictEvaluation on and
// schema.enforcement at reject; canary.yaml is how the application finds out.
package policies

import (
	"embed"
	"slices"
)

// Version is the version that every resource policy carries.
const Version = "default"

// FS is the bundle without its tests.
//
//go:embed *.yaml _schemas/*.json
var FS embed.FS

// crud are the actions that any kind of resource can be asked about.
var crud = []string{"create", "read", "list", "update", "delete"}

// special are the kinds, and the actions that only they have.
var special = map[string][]string{
	"org":            {"org:suspend", "org:reactivate", "org:export"},
	"team":           nil,
	"membership":     {"membership:change_roles"},
	"invitation":     {"invitation:accept"},
	"setting":        nil,
	"license":        {"license:checkout"},
	"audit_log":      {"audit_log:export"},
	"audit_sink":     nil,
	"user":           {"user:disable", "user:enable", "user:revoke_sessions", "user:erase"},
	"impersonation":  nil,
	"api_key":        nil,
	"platform":       nil,
	"queue":          {"queue:requeue", "queue:purge"},
	"policy":         {"policy:invalidate"},
	"project":        nil,
	"doc":            nil,
	"patient_record": nil,
}

// Names are the kinds of resource that have a policy, sorted.
func Names() []string {
	out := make([]string, 0, len(special))
	for kind := range special {
		out = append(out, kind)
	}
	slices.Sort(out)
	return out
}

// Actions are the actions that a kind can be asked about; nil for an unknown
// kind.
func Actions(kind string) []string {
	own, ok := special[kind]
	if !ok {
		return nil
	}
	return slices.Concat(crud, own)
}

// Knows reports whether a kind can be asked about an action.
func Knows(kind, action string) bool {
	own, ok := special[kind]
	return ok && (slices.Contains(crud, action) || slices.Contains(own, action))
}
