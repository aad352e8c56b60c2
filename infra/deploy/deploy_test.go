package deploy

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// sources calls visit with every Go file of the app.
func sources(t *testing.T, visit func(path string) error) {
	t.Helper()
	for _, top := range []string{"audit", "authz", "identity", "licensing", "orgs", "infra/edge", "infra/platform"} {
		err := filepath.WalkDir(filepath.Join("../..", top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			return visit(path)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// declared are the secrets that the app's packages declare, and which of them production demands.
func declared(t *testing.T) (names map[string]bool) {
	t.Helper()
	names = map[string]bool{}
	sources(t, func(path string) error {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			secretsIn(decl, names)
		}
		return nil
	})
	if len(names) == 0 {
		t.Fatal("the app declares no secret: this finds nothing")
	}
	return names
}

func secretsIn(decl ast.Decl, names map[string]bool) {
	vars, ok := decl.(*ast.GenDecl)
	if !ok || vars.Tok != token.VAR {
		return
	}
	for _, spec := range vars.Specs {
		value := spec.(*ast.ValueSpec)
		fields, ok := value.Type.(*ast.StructType)
		if !ok || value.Names[0].Name != "secrets" {
			continue
		}
		for _, field := range fields.Fields.List {
			for _, name := range field.Names {
				names[name.Name] = names[name.Name] || field.Comment == nil || field.Comment.List[0].Text != "//host:optional"
			}
		}
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheManifestsGiveEverySecretThatIsDemanded(t *testing.T) {
	t.Parallel()
	var config struct{ Data map[string]string }
	if err := yaml.Unmarshal(read(t, "kubernetes/config.yaml"), &config); err != nil {
		t.Fatal(err)
	}
	for name, demanded := range declared(t) {
		_, value := config.Data[name]
		file, mounted := config.Data[name+"_FILE"]
		if demanded && !value && !mounted {
			t.Errorf("kubernetes/config.yaml does not give %s", name)
		}
		if mounted && file != "/run/secrets/tenantry/"+name {
			t.Errorf("%s_FILE is %s", name, file)
		}
	}
}

func TestEncoresImagesGetEverySecret(t *testing.T) {
	t.Parallel()
	var config struct {
		Secrets map[string]struct {
			Env string `json:"$env"`
		}
	}
	if err := json.Unmarshal(read(t, "infra.config.json"), &config); err != nil {
		t.Fatal(err)
	}
	want := slices.Sorted(maps.Keys(declared(t)))
	if got := slices.Sorted(maps.Keys(config.Secrets)); !slices.Equal(got, want) {
		t.Errorf("infra.config.json has %v, the app %v", got, want)
	}
	for name, from := range config.Secrets {
		if from.Env != name {
			t.Errorf("%s comes from %s", name, from.Env)
		}
	}
}

// resource finds what Encore's primitives declare; their names are literals.
var resource = regexp.MustCompile(`(?:NewTopic\[[^]]*\]\(|NewSubscription\(\w+, |NewBucket\(|NewDatabase\()"([a-z-]+)"`)

func TestEncoresImagesGetEveryResource(t *testing.T) {
	t.Parallel()
	config := string(read(t, "infra.config.json"))
	found := 0
	sources(t, func(path string) error {
		text, err := os.ReadFile(path)
		for _, hit := range resource.FindAllStringSubmatch(string(text), -1) {
			found++
			if !strings.Contains(config, `"`+hit[1]+`": {`) {
				t.Errorf("infra.config.json has no %s, which %s declares", hit[1], path)
			}
		}
		return err
	})
	if found < 4 {
		t.Errorf("found %d resources: this finds too little", found)
	}
}
