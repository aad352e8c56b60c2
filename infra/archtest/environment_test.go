package archtest

import (
	"go/ast"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	variable     = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)
	tableRow     = regexp.MustCompile("(?m)^\\| `([A-Z][A-Z0-9_]*)` \\|")
	exampleEntry = regexp.MustCompile(`(?m)^(?:# ?)?([A-Z][A-Z0-9_]*)=`)
)

// noVariables are texts that only look like the name of a variable that an operator could set.
var noVariables = []string{
	"PG_VERSION",                // a file of Postgres
	"LC_ALL", "DEBIAN_FRONTEND", // given to tools
	"NO_MATCH",                                          // a word of Cerbos
	"UPDATE_PASSWORD", "CONFIGURE_TOTP", "VERIFY_EMAIL", // Keycloak's words for what users have to do
	"HOST_TEST_RUN", "APP_BINARY", "APP_BASE_URL", "APP_PID", "APP_TOKEN", // told by one of our programs to another
}

// Operators find every variable in one place, and none that does nothing.
func TestEveryVariableIsDocumented(t *testing.T) {
	t.Parallel()
	used := variables(t)
	for _, document := range []struct {
		path    string
		pattern *regexp.Regexp
	}{{"../../docs/environment.md", tableRow}, {"../../.env.example", exampleEntry}} {
		text, err := os.ReadFile(document.path)
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]bool{}
		for _, m := range document.pattern.FindAllStringSubmatch(string(text), -1) {
			if named[m[1]] {
				t.Errorf("%s names %s twice", document.path, m[1])
			}
			named[m[1]] = true
		}
		for _, name := range slices.Sorted(maps.Keys(used)) {
			if !named[name] {
				t.Errorf("%s does not name %s, which %s reads", document.path, name, used[name])
			}
		}
		for _, name := range slices.Sorted(maps.Keys(named)) {
			if used[name] == "" {
				t.Errorf("%s names %s, which nothing reads", document.path, name)
			}
		}
	}
}

// variables are those that the app, its host and its tools read, each with a file that does: the fields
// of secrets, and every text that is the name of one.
func variables(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	note := func(name, path string) {
		if !slices.Contains(noVariables, name) {
			out[name] = path
		}
	}
	sources := files(t)
	sources = append(sources, hostFiles(t)...)
	for _, f := range sources {
		// Keycloak and Cerbos have words of that shape, too.
		if f.test || within(f.dir, "infra/keycloak/realm") || within(f.dir, "policies") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for _, name := range secretsOf(n) {
					note(name, f.path)
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil && variable.MatchString(text) {
					note(text, f.path)
				}
			case *ast.CallExpr:
				// One word, too, where it is asked for.
				if name, ok := asked(n); ok {
					note(name, f.path)
				}
			}
			return true
		})
	}
	if len(out) < 40 {
		t.Fatalf("found only %d variables: this test looks in the wrong place", len(out))
	}
	return out
}

// hostFiles are the sources of the host's runtime, which is a module of its own.
func hostFiles(t *testing.T) []file {
	t.Helper()
	var out []file
	err := filepath.WalkDir("../host/sdk", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || d.Name() == "pgtest.go" {
			return err
		}
		parsed, err := parse(path)
		out = append(out, file{dir: "infra/host/sdk", path: path, ast: parsed})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// secretsOf are the fields of a package's var secrets.
func secretsOf(spec *ast.ValueSpec) []string {
	st, ok := spec.Type.(*ast.StructType)
	if !ok || spec.Names[0].Name != "secrets" {
		return nil
	}
	var out []string
	for _, field := range st.Fields.List {
		for _, name := range field.Names {
			out = append(out, name.Name)
		}
	}
	return out
}

// asked is the variable that a call such as os.Getenv("PORT") asks for.
func asked(call *ast.CallExpr) (string, bool) {
	name := ""
	switch fun := call.Fun.(type) {
	case *ast.SelectorExpr:
		name = fun.Sel.Name
	case *ast.Ident:
		name = fun.Name
	}
	if !strings.EqualFold(name, "getenv") && name != "LookupEnv" && name != "or" || len(call.Args) == 0 {
		return "", false
	}
	lit, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil && text == strings.ToUpper(text)
}
