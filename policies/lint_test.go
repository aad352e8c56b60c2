package policies_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"encore.app/policies"
	"encore.app/policies/lint"
	"gopkg.in/yaml.v3"
)

// policy is as much of a policy file as the tests look at.
type policy struct {
	ResourcePolicy *struct {
		Resource string
		Rules    []rule
	} `yaml:"resourcePolicy"`
}

type rule struct {
	Name    string
	Actions []string
	Effect  string
}

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

func TestEveryKindHasItsPolicyAndTests(t *testing.T) {
	t.Parallel()
	var found []string
	for name, p := range bundle(t) {
		r := p.ResourcePolicy
		if r == nil || name == lint.Stamp {
			continue
		}
		if name != lint.Canary {
			found = append(found, name)
		}
		suite, err := os.ReadFile("tests/" + name + "_test.yaml")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		allowed := map[string]bool{}
		for _, r := range r.Rules {
			for _, action := range r.Actions {
				allowed[action] = allowed[action] || r.Effect == "EFFECT_ALLOW"
			}
		}
		for _, action := range policies.Actions(name) {
			if !strings.Contains(string(suite), `"`+action+`"`) {
				t.Errorf("%s: no test asks about %s", name, action)
			}
			if strings.Contains(action, ":") && !allowed[action] {
				t.Errorf("%s: nobody may ever %s", name, action)
			}
		}
	}
	slices.Sort(found)
	if !slices.Equal(found, policies.Names()) {
		t.Errorf("policies for %v, vocabulary has %v", found, policies.Names())
	}
}

// What compiles and passes its tests, and fails open one day.
func TestTheBundleIsLinted(t *testing.T) {
	t.Parallel()
	for _, look := range []func(fs.FS) ([]lint.Problem, error){lint.Bundle, lint.Suites} {
		found, err := look(os.DirFS("."))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range found {
			t.Error(p)
		}
	}
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
	for kind, action := range map[string]string{"org": "org:erase", "doc": "org:suspend", "invoice": "read", lint.Canary: "read"} {
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
