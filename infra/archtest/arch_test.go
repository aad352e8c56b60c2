package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "encore.app/"

// floors are the parts of the app from the ground up. A package may use its own floor and any below
// it, never one above. Directories that are not listed are no part of the running app.
var floors = []string{"infra/platform", "policies", "authz", "audit", "identity", "orgs", "licensing", "infra/edge"}

// sideHouses serve development and tests; nothing of the app may need them.
var sideHouses = []string{"infra/devstack", "infra/chaos", "infra/acceptance", "infra/archtest", "infra/host", "infra/clients"}

// schemas are the database schemas and the floor that owns each.
var schemas = map[string]string{
	"platform": "infra/platform", "audit": "audit", "identity": "identity", "orgs": "orgs", "licensing": "licensing",
	"authz": "authz", "edge": "infra/edge",
}

type file struct {
	dir  string // slash-separated, relative to the root
	path string
	test bool
	ast  *ast.File
}

// files are the app's Go files. Nested modules have rules of their own.
func files(t *testing.T) []file {
	t.Helper()
	const root = "../.."
	var out []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || nested == nil) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || d.Name() == "encore.gen.go" {
			return nil
		}
		parsed, err := parse(path)
		if err != nil {
			return err
		}
		out = append(out, file{
			dir: filepath.ToSlash(filepath.Dir(rel)), path: filepath.ToSlash(rel),
			test: strings.HasSuffix(path, "_test.go"), ast: parsed,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 30 {
		t.Fatalf("found only %d files: this test looks in the wrong place", len(out))
	}
	return out
}

func parse(path string) (*ast.File, error) {
	return parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
}

func within(dir, parent string) bool { return dir == parent || strings.HasPrefix(dir, parent+"/") }

func floorOf(dir string) int {
	for i, f := range floors {
		if within(dir, f) {
			return i
		}
	}
	return -1
}

func TestImportsRunOneWay(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		from := floorOf(f.dir)
		if from < 0 || f.test {
			continue
		}
		for _, spec := range f.ast.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			dir, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			for _, side := range sideHouses {
				if within(dir, side) {
					t.Errorf("%s imports %s: the app must not need what serves development", f.path, dir)
				}
			}
			if to := floorOf(dir); to > from {
				t.Errorf("%s imports %s: %s stands below %s", f.path, dir, floors[from], floors[to])
			}
		}
	}
}

func TestEveryPackageIsDocumented(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, f := range files(t) {
		if f.test {
			continue
		}
		documented[f.dir] = documented[f.dir] || f.ast.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

var table = regexp.MustCompile(`(?i)\b(?:from|into|update|join|table)\s+([a-z_]+)\.[a-z_]+`)

func TestNoServiceReadsAnothersTables(t *testing.T) {
	t.Parallel()
	queries := 0
	for _, f := range files(t) {
		if floorOf(f.dir) < 0 || f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			for _, m := range table.FindAllStringSubmatch(lit.Value, -1) {
				queries++
				if owner, known := schemas[m[1]]; known && !within(f.dir, owner) {
					t.Errorf("%s names schema %s, which is %s's", f.path, m[1], owner)
				}
			}
			return true
		})
	}
	if queries == 0 {
		t.Error("no query found: this test proves nothing")
	}
}

// The database is reached through the transaction helper, which sets the tenant.
func TestTheDatabaseIsReachedThroughTheHelper(t *testing.T) {
	t.Parallel()
	direct := map[string]bool{"Exec": true, "Query": true, "QueryRow": true, "Begin": true, "BeginTx": true, "SendBatch": true}
	for _, f := range files(t) {
		if floorOf(f.dir) < 0 || f.test || within(f.dir, "infra/platform") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !direct[sel.Sel.Name] {
				return true
			}
			if on, ok := sel.X.(*ast.Ident); ok && on.Name == "tx" {
				return true // inside the helper's transaction
			}
			t.Errorf("%s calls %s on something that is not the helper's tx", f.path, sel.Sel.Name)
			return true
		})
	}
}

// Encore parses every Go file below the app root, nested modules and tests included, and takes what
// it finds for the app's own. The tag keeps the tests of the host's runtime out of its sight.
func TestTheRuntimesTestsAreHiddenFromEncore(t *testing.T) {
	t.Parallel()
	seen := 0
	err := filepath.WalkDir("../host/sdk", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		seen++
		text, err := os.ReadFile(path)
		if err == nil && !strings.Contains(string(text), "\n//go:build stockhost") && !strings.HasPrefix(string(text), "//go:build stockhost") {
			t.Errorf("%s lacks the build tag stockhost", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Error("no test found: this test looks in the wrong place")
	}
}

// A raw endpoint has written its answer before the guard can stop it: it is open to all, or it
// streams through the helper that waits for the decision.
func TestRawEndpointsWaitForTheirDecision(t *testing.T) {
	t.Parallel()
	found := 0
	for _, f := range files(t) {
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Doc == nil {
				continue
			}
			for _, c := range fn.Doc.List {
				words := strings.Fields(c.Text)
				if len(words) == 0 || words[0] != "//encore:api" || !slices.Contains(words, "raw") {
					continue
				}
				found++
				if !slices.Contains(words, "tag:open") && !(slices.Contains(words, "auth") && onlyStreams(fn)) {
					t.Errorf("%s: %s is raw: tag it open, or make it auth and nothing but one call of authz.Stream", f.path, fn.Name.Name)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no raw endpoint found: this test proves nothing")
	}
}

// onlyStreams says that fn is one call of authz.Stream.
func onlyStreams(fn *ast.FuncDecl) bool {
	if len(fn.Body.List) != 1 {
		return false
	}
	stmt, ok := fn.Body.List[0].(*ast.ExprStmt)
	if !ok {
		return false
	}
	call, ok := stmt.X.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Stream" {
		return false
	}
	on, ok := sel.X.(*ast.Ident)
	return ok && on.Name == "authz"
}

// Two migrations of one number depend on luck for their order, and Encore refuses a gap.
func TestMigrationsAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../platform/database/migrations/*.up.sql")
	if err != nil || len(names) < 2 {
		t.Fatalf("found %v, %v", names, err)
	}
	seen := map[int]string{}
	for _, name := range names {
		number, _, _ := strings.Cut(filepath.Base(name), "_")
		n, err := strconv.Atoi(number)
		if err != nil || seen[n] != "" {
			t.Errorf("%s and %s have one number, or none", name, seen[n])
		}
		seen[n] = name
	}
	for n := 1; n <= len(names); n++ {
		if seen[n] == "" {
			t.Errorf("there is no migration %d of %d", n, len(names))
		}
	}
}
