package lint

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// bundle is the project's own, with one file changed.
func bundle(t *testing.T, file string, edit func(string) string) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	dir := os.DirFS("..")
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return err
		}
		if name == file {
			changed := edit(string(text))
			if changed == string(text) {
				t.Fatalf("%s: nothing was changed", file)
			}
			text = []byte(changed)
		}
		out[name] = &fstest.MapFile{Data: text}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheBundleHasNoProblems(t *testing.T) {
	t.Parallel()
	for _, lint := range []func(fs.FS) ([]Problem, error){Bundle, Suites} {
		found, err := lint(os.DirFS(".."))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range found {
			t.Error(p)
		}
	}
}

// Every trap is set in the project's own bundle, and found where it is.
func TestTrapsAreFound(t *testing.T) {
	t.Parallel()
	swap := func(from, to string) func(string) string {
		return func(text string) string { return strings.Replace(text, from, to, 1) }
	}
	const foreign = "    - name: cross_tenant\n      actions: ['*']\n      effect: EFFECT_DENY\n      roles: ['*']\n"
	for name, c := range map[string]struct {
		file string
		edit func(string) string
		want string
	}{
		"denial of one role":         {"doc.yaml", swap(foreign, strings.Replace(foreign, "roles: ['*']", "roles: [user]", 1)), "doc.yaml#cross_tenant: a denial is for all roles"},
		"denial of derived roles":    {"doc.yaml", swap(foreign, foreign+"      derivedRoles: [org_guest]\n"), "doc.yaml#cross_tenant: a denial is for all roles"},
		"denial without a word":      {"doc.yaml", swap(`'"not_a_member"'`, `'""'`), "doc.yaml#cross_tenant: a denial gives one of the reasons"},
		"reason that tells":          {"doc.yaml", swap(`'"not_a_member"'`, `'R.attr.owner_id'`), "doc.yaml#cross_tenant: a denial gives one of the reasons"},
		"reason nobody knows":        {"doc.yaml", swap(`'"not_a_member"'`, `'"because"'`), "doc.yaml#cross_tenant: a denial gives one of the reasons"},
		"word of what did not deny":  {"doc.yaml", swap(`ruleActivated: '"not_a_member"'`, "ruleActivated: '\"not_a_member\"'\n          conditionNotMet: '\"x\"'"), "doc.yaml#cross_tenant: a denial speaks only"},
		"reasons out of order":       {"doc.yaml", swap(`'"not_a_member"'`, `'"mfa_required"'`), "doc.yaml#audience: denials come in the order"},
		"no guard across tenants":    {"doc.yaml", swap("expr: 'V.foreign'", "expr: 'V.frozen'"), "doc.yaml#members_list: nothing denies list across organisations"},
		"no guard of suspension":     {"doc.yaml", swap(`"org_suspended"`, `"wrong_audience"`), "doc.yaml#admins_create: nothing denies create in a suspended organisation"},
		"no guard of impersonation":  {"doc.yaml", swap(`"impersonation_readonly"`, `"org_suspended"`), "doc.yaml#admins_create: nothing denies create to those who act"},
		"has":                        {"doc.yaml", swap(`'R.attr.sensitivity == "public"'`, `'has(R.attr.sensitivity) && R.attr.sensitivity == "public"'`), "has() plans as always true"},
		"has behind a hash":          {"doc.yaml", swap(`'R.attr.sensitivity == "public"'`, `'R.attr.owner_id != "#" && has(R.attr.sensitivity)'`), "has() plans as always true"},
		"has in a variable":          {"variables.yaml", swap(`'"api_key" in P.roles'`, `'has(P.attr.impersonator_id)'`), "variables.yaml#machine: has(P.attr.impersonator_id): has()"},
		"has in a derived role":      {"team_roles.yaml", swap("R.attr.owner_id == P.id", "has(R.attr.owner_id)"), "team_roles.yaml#resource_owner"},
		"has in a nested condition":  {"doc.yaml", swap(`expr: 'R.attr.sensitivity == "public"'`, "any: {of: [{expr: 'has(R.attr.sensitivity)'}]}"), "has() plans as always true"},
		"conditional":                {"doc.yaml", swap(`'R.attr.sensitivity == "public"'`, `'(R.attr.pii ? P.id : "") == P.id'`), "a conditional leaves the asker in plans"},
		"the time":                   {"doc.yaml", swap(`'R.attr.sensitivity == "public"'`, `'now() > timestamp("2026-01-01T00:00:00Z")'`), "the time is frozen"},
		"pattern":                    {"doc.yaml", swap(`'R.attr.sensitivity == "public"'`, `'R.attr.sensitivity.matches("p.*")'`), "matches() has no translation"},
		"derived role at run time":   {"doc.yaml", swap(`'R.attr.sensitivity == "public"'`, `'"x" in runtime.effectiveDerivedRoles'`), "derived roles are said by the rule"},
		"attribute under its name":   {"doc.yaml", swap(`'R.attr.sensitivity == "public"'`, `'R.attr["salary"] == "public"'`), "an attribute is named after a dot"},
		"attribute by its long name": {"doc.yaml", swap(`'R.attr.sensitivity == "public"'`, `'request.resource.attr.salary == 1'`), "P and R are how"},
		"attribute nobody requires":  {"doc.yaml", swap(`'R.attr.sensitivity == "public"'`, `'R.attr.clinician_id == P.id'`), "no schema requires R.attr.clinician_id"},
		"sum of double and int":      {"doc.yaml", swap("P.attr.mfa_level < 2", "P.attr.mfa_level + 1 < 2"), "cannot be added up"},
		"permission of everything":   {"doc.yaml", swap("actions: [list]", "actions: ['*']"), "doc.yaml#members_list: a permission names its actions"},
		"permission of everyone":     {"doc.yaml", swap("derivedRoles: [org_guest]", "roles: ['*']"), `doc.yaml#members_list: a permission of the role "*"`},
		"action nobody asks about":   {"doc.yaml", swap("actions: [list]", "actions: [publish]"), "unknown action publish"},
		"rule without a name":        {"doc.yaml", swap("    - name: members_list\n      actions", "    - actions"), "a rule needs a name of its own"},
		"names alike":                {"doc.yaml", swap("name: admins_create", "name: members_list"), "a rule needs a name of its own"},
		"effect misspelt":            {"doc.yaml", swap("EFFECT_ALLOW", "EFFECT_PERMIT"), `effect "EFFECT_PERMIT"`},
		"kind nobody knows":          {"doc.yaml", swap("resource: doc", "resource: invoice"), `the vocabulary has no "invoice"`},
		"other version":              {"doc.yaml", swap("version: default", "version: next"), `version "next"`},
		"no schema":                  {"doc.yaml", swap("resource.json", "nothing.json"), "nothing.json"},
		"schema that lets miss":      {"_schemas/resource.json", swap(`    "pii",`, ""), "does not require pii"},
		"scope in the bundle":        {"doc.yaml", swap("version: default", "version: default\n  scope: acme"), `scope "acme"`},
		"scope that overrides":       {"examples/stricter/doc.yaml", swap("SCOPE_PERMISSIONS_REQUIRE_PARENTAL_CONSENT_FOR_ALLOWS", "SCOPE_PERMISSIONS_OVERRIDE_PARENT"), "can widen"},
		"scope that says nothing":    {"examples/stricter/doc.yaml", swap("  scopePermissions: SCOPE_PERMISSIONS_REQUIRE_PARENTAL_CONSENT_FOR_ALLOWS\n", ""), "can widen"},
		"denial of one role, scoped": {"examples/stricter/doc.yaml", swap("roles: ['*']", "roles: [user]"), "a denial is for all roles"},
		"derived role of anybody":    {"org_roles.yaml", swap("V.same_org && ", ""), "org_roles.yaml#org_admin: does not begin with V.same_org"},
		"derived role of no realm":   {"org_roles.yaml", swap("parentRoles: [user]", "parentRoles: [api_key]"), `starts from the role "api_key"`},
		"staff in any console":       {"platform_roles.yaml", swap(`P.attr.audience == "tenantry-admin" && `, ""), "platform_roles.yaml#platform_operator: does not begin"},
		"principal policy":           {"platform.yaml", func(string) string { return "principalPolicy: {principal: u, version: default}\n" }, "only resource policies"},
		"role policy":                {"platform.yaml", func(string) string { return "rolePolicy: {role: user}\n" }, "only resource policies"},
		"lenient suite":              {"tests/doc_test.yaml", swap("strictEvaluation: true", "strictEvaluation: false"), "its tests are not strict"},
		"lenient test":               {"tests/queue_test.yaml", swap("  - name: \"who may\"", "  - options: {lenientScopeSearch: true}\n    name: \"who may\""), "its own options make it lenient"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := bundle(t, c.file, c.edit)
			found, err := Bundle(dir)
			if err != nil {
				found = append(found, Problem{What: err.Error()})
			}
			suites, err := Suites(dir)
			if err != nil {
				t.Fatal(err)
			}
			said := ""
			for _, p := range append(found, suites...) {
				said += p.String() + "\n"
			}
			if !strings.Contains(said, c.want) {
				t.Errorf("want %q, got\n%s", c.want, said)
			}
		})
	}
}

// Every decision point that this project configures is strict.
func TestDecisionPointsAreStrict(t *testing.T) {
	t.Parallel()
	seen := 0
	err := filepath.WalkDir("../../infra", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if !strings.Contains(string(text), "\nstorage:\n  driver:") {
			return nil // of something else
		}
		seen++
		found, err := Config(name, text)
		for _, p := range found {
			t.Error(p)
		}
		return err
	})
	if err != nil || seen < 2 { // the local one, and the one in production
		t.Errorf("saw %d: %v", seen, err)
	}
	for text, want := range map[string]int{"engine: {strictEvaluation: true}\nschema: {enforcement: reject}\n": 0, "engine: {strictEvaluationX: true}\nschema: {enforcement: warn}\n": 2, "{}": 2} {
		if found, err := Config("x", []byte(text)); err != nil || len(found) != want {
			t.Errorf("%s: %v %v", text, found, err)
		}
	}
}
