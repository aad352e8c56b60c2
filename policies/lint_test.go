package policies_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"encore.app/policies"
	"gopkg.in/yaml.v3"
)

// policy is as much of a policy file as the rules below look at.
type policy struct {
	PrincipalPolicy any `yaml:"principalPolicy"`
	RolePolicy      any `yaml:"rolePolicy"`
	ResourcePolicy  *struct {
		Resource string
		Version  string
		Scope    string
		Schemas  struct {
			PrincipalSchema struct{ Ref string } `yaml:"principalSchema"`
			ResourceSchema  struct{ Ref string } `yaml:"resourceSchema"`
		}
		Rules []rule
	} `yaml:"resourcePolicy"`
}

type rule struct {
	Name         string
	Actions      []string
	Effect       string
	Roles        []string
	DerivedRoles []string `yaml:"derivedRoles"`
	Output       struct {
		When struct {
			RuleActivated string `yaml:"ruleActivated"`
		}
	}
}

// reasons are the constants that a denial may give, in the order in which a
// caller is told: the decision point stops at the first one.
var reasons = []string{"not_a_member", "wrong_audience", "org_suspended", "impersonation_readonly", "upgrade_required", "mfa_required", "policy_denied"}

// The two policies that are about no resource.
const (
	canary = "canary"
	stamp  = "bundle"
)

var constant = regexp.MustCompile(`^"([a-z_]+)"$`)

func bundle(t *testing.T) map[string]policy {
	t.Helper()
	names, err := fs.Glob(policies.FS, "*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal("no policies", err)
	}
	out := map[string]policy{}
	for _, name := range names {
		content, err := policies.FS.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var p policy
		if err := yaml.Unmarshal(content, &p); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[strings.TrimSuffix(name, ".yaml")] = p
	}
	return out
}

func TestEveryKindHasItsPolicySchemaAndTests(t *testing.T) {
	t.Parallel()
	var found []string
	for name, p := range bundle(t) {
		if p.PrincipalPolicy != nil || p.RolePolicy != nil {
			t.Errorf("%s: only resource policies are planned for (the planner ignores denials of others)", name)
		}
		r := p.ResourcePolicy
		if r == nil || name == stamp {
			continue
		}
		if r.Resource != name || r.Version != policies.Version || r.Scope != "" {
			t.Errorf("%s: holds %s, version %q, scope %q", name, r.Resource, r.Version, r.Scope)
		}
		refs := []string{r.Schemas.ResourceSchema.Ref}
		if name != canary {
			found = append(found, name)
			refs = append(refs, r.Schemas.PrincipalSchema.Ref)
		}
		for _, ref := range refs {
			if _, err := policies.FS.ReadFile("_schemas/" + strings.TrimPrefix(ref, "cerbos:///")); err != nil {
				t.Errorf("%s: schema %q: %v", name, ref, err)
			}
		}
		suite, err := os.ReadFile("tests/" + name + "_test.yaml")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(string(suite), "strictEvaluation: true") {
			t.Errorf("%s: its tests are not strict", name)
		}
		for _, action := range policies.Actions(name) {
			if !strings.Contains(string(suite), `"`+action+`"`) {
				t.Errorf("%s: no test asks about %s", name, action)
			}
		}
	}
	slices.Sort(found)
	if !slices.Equal(found, policies.Names()) {
		t.Errorf("policies for %v, vocabulary has %v", found, policies.Names())
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	for name, p := range bundle(t) {
		if p.ResourcePolicy == nil || name == stamp {
			continue
		}
		var names []string
		last := 0
		allowed := map[string]bool{}
		for _, r := range p.ResourcePolicy.Rules {
			where := name + "#" + r.Name
			if r.Name == "" || slices.Contains(names, r.Name) {
				t.Errorf("%s: a rule needs a name of its own", where)
			}
			names = append(names, r.Name)
			for _, action := range r.Actions {
				if name != canary && action != "*" && !slices.Contains(policies.Actions(name), action) {
					t.Errorf("%s: unknown action %s", where, action)
				}
			}
			switch r.Effect {
			case "EFFECT_ALLOW":
				for _, action := range r.Actions {
					allowed[action] = true
				}
				if slices.Contains(r.Actions, "*") || (name != canary && slices.Contains(r.Roles, "*")) {
					t.Errorf("%s: a permission names its actions and roles", where)
				}
			case "EFFECT_DENY":
				// A denial for one role loses to a permission of another.
				if !slices.Equal(r.Roles, []string{"*"}) || len(r.DerivedRoles) > 0 {
					t.Errorf("%s: a denial is for all roles", where)
				}
				m := constant.FindStringSubmatch(r.Output.When.RuleActivated)
				if m == nil || !slices.Contains(reasons, m[1]) {
					t.Errorf("%s: a denial gives one of the reasons as a constant, not %q", where, r.Output.When.RuleActivated)
					continue
				}
				if rank := slices.Index(reasons, m[1]); rank < last {
					t.Errorf("%s: denials come in the order of their reasons", where)
				} else {
					last = rank
				}
			default:
				t.Errorf("%s: effect %q", where, r.Effect)
			}
		}
		for _, action := range policies.Actions(name) {
			if strings.Contains(action, ":") && !allowed[action] {
				t.Errorf("%s: nobody may ever %s", name, action)
			}
		}
	}
}

// TestNothingCanFailOrOverGrant: has() plans as always true, a ternary leaves the
// principal in plans, and an attribute outside the schemas can be missing.
func TestNothingCanFailOrOverGrant(t *testing.T) {
	t.Parallel()
	principal, resource := required(t, "principal"), required(t, "resource")
	attribute := regexp.MustCompile(`\b([PR])\.attr\.([a-z_]+)`)
	for name, p := range bundle(t) {
		if name == canary {
			continue // fails on purpose
		}
		extra := resource
		if p.ResourcePolicy != nil && name != stamp {
			extra = required(t, strings.TrimSuffix(strings.TrimPrefix(p.ResourcePolicy.Schemas.ResourceSchema.Ref, "cerbos:///"), ".json"))
		}
		if name == "care_roles" {
			extra = required(t, "patient_record")
		}
		content, err := policies.FS.ReadFile(name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(content), "\n") {
			code, _, _ := strings.Cut(line, "#")
			for _, banned := range []string{"has(", " ? ", "request.", "matches(", "now(", "runtime."} {
				if strings.Contains(code, banned) {
					t.Errorf("%s.yaml:%d: %q", name, i+1, banned)
				}
			}
			for _, m := range attribute.FindAllStringSubmatch(code, -1) {
				known := principal
				if m[1] == "R" {
					known = extra
				}
				if !slices.Contains(known, m[2]) {
					t.Errorf("%s.yaml:%d: no schema requires %s", name, i+1, m[0])
				}
			}
		}
	}
}

func required(t *testing.T, schema string) []string {
	t.Helper()
	content, err := policies.FS.ReadFile("_schemas/" + schema + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var s struct{ Required []string }
	if err := json.Unmarshal(content, &s); err != nil {
		t.Fatal(err)
	}
	return s.Required
}

func TestVocabulary(t *testing.T) {
	t.Parallel()
	if got := policies.Actions("invoice"); got != nil {
		t.Errorf("an unknown kind has actions %v", got)
	}
	if got, want := policies.Actions("audit_log"), []string{"create", "read", "list", "update", "delete", "audit_log:export"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for kind, action := range map[string]string{"org": "org:suspend", "doc": "read"} {
		if !policies.Knows(kind, action) {
			t.Errorf("%s of %s is not known", action, kind)
		}
	}
	for kind, action := range map[string]string{"org": "org:erase", "doc": "org:suspend", "invoice": "read", canary: "read"} {
		if policies.Knows(kind, action) {
			t.Errorf("%s of %s is known", action, kind)
		}
	}
}

// What the decision point reports as served is this bundle only if the stamp is that of its files.
func TestTheBundleCarriesItsDigest(t *testing.T) {
	t.Parallel()
	digest := policies.Digest()
	text, err := policies.FS.ReadFile(policies.StampFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(digest) != 64 || !strings.Contains(string(text), digest) {
		t.Errorf("%s does not carry %s: run go generate ./policies", policies.StampFile, digest)
	}
	edited := fstest.MapFS{"doc.yaml": {Data: []byte("a")}, "_schemas/x.json": {Data: []byte("b")}, policies.StampFile: {Data: text}}
	before, err := policies.DigestOf(edited)
	if err != nil {
		t.Fatal(err)
	}
	again, err := policies.Stamped(text, before)
	if err != nil || !strings.Contains(string(again), before) {
		t.Fatalf("not stamped: %v", err)
	}
	edited[policies.StampFile].Data = again
	if after, _ := policies.DigestOf(edited); after != before {
		t.Error("the stamp is part of what it stamps")
	}
	edited["_schemas/x.json"].Data = []byte("c")
	if after, _ := policies.DigestOf(edited); after == before {
		t.Error("a schema was edited, and the digest is the same")
	}
	if _, err := policies.Stamped([]byte("no place"), before); err == nil {
		t.Error("stamped a file without a place for it")
	}
}
