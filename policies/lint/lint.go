// Package lint finds in a bundle of policies what compiles, passes its tests and still fails open one
// day. Each rule is a trap that Cerbos was seen to have:
//
//   - a denial for one role loses to a permission of another, so denials are for roles ["*"];
//   - a denial tells the caller why through a constant output, and those that tell least come first;
//   - a condition that reads what may be missing fails, so it reads what the schemas require;
//   - has() plans as always true, a conditional leaves the asker in plans, matches() and hierarchies have
//     no translation, now() is frozen in plans, and an attribute and an int cannot be added up;
//   - a scope overrides its parent unless it says otherwise, so a scope wants its parent's consent;
//   - the planner ignores principal and role policies;
//   - options of one test take the place of the suite's, strictEvaluation among them.
package lint

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"encore.app/policies"
	"gopkg.in/yaml.v3"
)

// reasons are the constants that a denial may give, in the order in which a caller is told: the
// decision point stops at the first one.
var reasons = []string{"not_a_member", "wrong_audience", "org_suspended", "impersonation_readonly", "upgrade_required", "mfa_required", "policy_denied"}

// The two policies that are about no resource.
const (
	Canary = "canary"
	Stamp  = "bundle"
)

// Problem is something in a file that must not be.
type Problem struct{ File, Rule, What string }

func (p Problem) String() string {
	if p.Rule == "" {
		return p.File + ": " + p.What
	}
	return p.File + "#" + p.Rule + ": " + p.What
}

// Bundle lints every policy in dir; what it cannot read is an error.
func Bundle(dir fs.FS) ([]Problem, error) {
	l := &linter{dir: dir}
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "tests" || name == "_schemas"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".yaml":
			return nil
		}
		return l.file(name)
	})
	return l.found, err
}

type linter struct {
	dir   fs.FS
	found []Problem
}

func (l *linter) add(file, rule, what string, args ...any) {
	l.found = append(l.found, Problem{file, rule, fmt.Sprintf(what, args...)})
}

// policy is as much of a policy file as the rules look at.
type policy struct {
	PrincipalPolicy any `yaml:"principalPolicy"`
	RolePolicy      any `yaml:"rolePolicy"`
	DerivedRoles    *struct {
		Definitions []derived
	} `yaml:"derivedRoles"`
	ResourcePolicy *resourcePolicy `yaml:"resourcePolicy"`
}

type resourcePolicy struct {
	Resource         string
	Version          string
	Scope            string
	ScopePermissions string `yaml:"scopePermissions"`
	Schemas          struct {
		PrincipalSchema struct{ Ref string } `yaml:"principalSchema"`
		ResourceSchema  struct{ Ref string } `yaml:"resourceSchema"`
	}
	Rules []rule
}

type derived struct {
	Name        string
	ParentRoles []string `yaml:"parentRoles"`
	Condition   struct{ Match struct{ Expr string } }
}

type rule struct {
	Name         string
	Actions      []string
	Effect       string
	Roles        []string
	DerivedRoles []string `yaml:"derivedRoles"`
	Condition    struct{ Match struct{ Expr string } }
	Output       struct {
		Expr string
		When struct {
			RuleActivated   string `yaml:"ruleActivated"`
			ConditionNotMet string `yaml:"conditionNotMet"`
		}
	}
}

func (l *linter) file(name string) error {
	text, err := fs.ReadFile(l.dir, name)
	if err != nil {
		return err
	}
	var p policy
	var all yaml.Node
	if err := yaml.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := yaml.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if p.PrincipalPolicy != nil || p.RolePolicy != nil {
		l.add(name, "", "only resource policies are planned for")
	}
	if p.DerivedRoles != nil {
		l.derived(name, p.DerivedRoles.Definitions)
	}
	r := p.ResourcePolicy
	if r != nil && r.Resource != Stamp {
		l.place(name, r)
		l.rules(name, r)
	}
	if r == nil || r.Resource != Canary { // that one fails on purpose
		return l.expressions(name, r, &all)
	}
	return nil
}

// place is what a policy is about, and under which schemas. A scope has those of what it is named after.
func (l *linter) place(name string, r *resourcePolicy) {
	if r.Resource != Canary && policies.Actions(r.Resource) == nil {
		l.add(name, "", "the vocabulary has no %q", r.Resource)
	}
	if r.Version != policies.Version {
		l.add(name, "", "version %q", r.Version)
	}
	if path.Base(name) != r.Resource+".yaml" {
		l.add(name, "", "holds the policy of %s", r.Resource)
	}
	if scoped := path.Dir(name) != "."; scoped != (r.Scope != "") {
		l.add(name, "", "scope %q: the bundle itself has none, and a directory of it nothing else", r.Scope)
	}
	if r.Scope != "" {
		if r.ScopePermissions != "SCOPE_PERMISSIONS_REQUIRE_PARENTAL_CONSENT_FOR_ALLOWS" {
			l.add(name, "", "a scope that does not require its parent's consent can widen")
		}
		return
	}
	refs := []string{r.Schemas.ResourceSchema.Ref}
	if r.Resource != Canary {
		refs = append(refs, r.Schemas.PrincipalSchema.Ref)
	}
	for _, ref := range refs {
		s, err := l.schema(ref)
		if err != nil {
			l.add(name, "", "schema %q: %v", ref, err)
			continue
		}
		for property := range s.Properties {
			if !slices.Contains(s.Required, property) {
				l.add(name, "", "schema %q does not require %s", ref, property)
			}
		}
	}
}

// ours are the roles that a permission or a derived role may start from.
var ours = []string{"user", "platform_admin", "platform_support", "platform_auditor"}

// derived roles say for themselves whose they are, so that a lost guardrail opens nothing.
func (l *linter) derived(name string, definitions []derived) {
	for _, d := range definitions {
		for _, parent := range d.ParentRoles {
			if !slices.Contains(ours, parent) {
				l.add(name, d.Name, "starts from the role %q", parent)
			}
		}
		within := "V.same_org && "
		if !slices.Contains(d.ParentRoles, "user") {
			within = `P.attr.audience == "tenantry-admin" && `
		}
		if !strings.HasPrefix(d.Condition.Match.Expr, within) {
			l.add(name, d.Name, "does not begin with %s", within)
		}
	}
}

var constant = regexp.MustCompile(`^"([a-z_]+)"$`)

func (l *linter) rules(name string, r *resourcePolicy) {
	last := 0
	var names []string
	for _, x := range r.Rules {
		if x.Name == "" || slices.Contains(names, x.Name) {
			l.add(name, x.Name, "a rule needs a name of its own")
		}
		names = append(names, x.Name)
		for _, action := range x.Actions {
			if r.Resource != Canary && action != "*" && !policies.Knows(r.Resource, action) {
				l.add(name, x.Name, "unknown action %s", action)
			}
		}
		switch x.Effect {
		case "EFFECT_ALLOW":
			l.permission(name, r, x)
		case "EFFECT_DENY":
			last = l.denial(name, x, last)
		default:
			l.add(name, x.Name, "effect %q", x.Effect)
		}
	}
	if r.Scope == "" && r.Resource != Canary {
		l.guards(name, r)
	}
}

func (l *linter) permission(name string, r *resourcePolicy, x rule) {
	if slices.Contains(x.Actions, "*") {
		l.add(name, x.Name, "a permission names its actions")
	}
	for _, role := range x.Roles {
		if !slices.Contains(ours, role) && r.Resource != Canary && r.Scope == "" { // a scope cannot widen
			l.add(name, x.Name, "a permission of the role %q", role)
		}
	}
}

// denial gives back the rank of its reason; the ones after it may not tell less.
func (l *linter) denial(name string, x rule, last int) int {
	if !slices.Equal(x.Roles, []string{"*"}) || len(x.DerivedRoles) > 0 {
		l.add(name, x.Name, "a denial is for all roles")
	}
	if x.Output.Expr != "" || x.Output.When.ConditionNotMet != "" {
		l.add(name, x.Name, "a denial speaks only when it denies")
	}
	m := constant.FindStringSubmatch(x.Output.When.RuleActivated)
	if m == nil || !slices.Contains(reasons, m[1]) {
		l.add(name, x.Name, "a denial gives one of the reasons as a constant, not %q", x.Output.When.RuleActivated)
		return last
	}
	rank := slices.Index(reasons, m[1])
	if rank < last {
		l.add(name, x.Name, "denials come in the order of their reasons")
	}
	return max(rank, last)
}

// platforms are the kinds that belong to no organisation.
var platforms = []string{"platform", "policy", "queue", "user"}

// guards wants every permission under the denials that hold whatever else a policy says. Who accepts an
// invitation is no member yet.
func (l *linter) guards(name string, r *resourcePolicy) {
	guarded := func(action, reason, condition string) bool {
		return slices.ContainsFunc(r.Rules, func(x rule) bool {
			return x.Effect == "EFFECT_DENY" && x.Output.When.RuleActivated == `"`+reason+`"` && strings.Contains(x.Condition.Match.Expr, condition) &&
				(slices.Contains(x.Actions, action) || slices.Contains(x.Actions, "*"))
		})
	}
	for _, x := range r.Rules {
		if x.Effect != "EFFECT_ALLOW" {
			continue
		}
		for _, action := range x.Actions {
			if !slices.Contains(platforms, r.Resource) && action != "invitation:accept" && !guarded(action, "not_a_member", "V.foreign") {
				l.add(name, x.Name, "nothing denies %s across organisations", action)
			}
			writes := !slices.Contains([]string{"read", "list", "org:export", "audit_log:export"}, action)
			staffed := slices.Equal(x.DerivedRoles, []string{"platform_operator"}) // never impersonated
			if writes && !staffed && !guarded(action, "impersonation_readonly", "V.") {
				l.add(name, x.Name, "nothing denies %s to those who act as somebody else", action)
			}
			if writes && !staffed && !slices.Contains(platforms, r.Resource) && !guarded(action, "org_suspended", "") {
				l.add(name, x.Name, "nothing denies %s in a suspended organisation", action)
			}
		}
	}
}
