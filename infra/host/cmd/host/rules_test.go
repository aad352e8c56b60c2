package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"encore.app/infra/host/internal/diag"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// wanted is the prefix of an archive's files that hold expectations.
const wanted = "want/"

// unpack writes an archive's app into a directory and returns it with its workspace, in which the
// real sdk stands in for encore.dev. What the archive leaves out of an app's frame is added.
func unpack(t *testing.T, a *txtar.Archive) (root, workspace string) {
	t.Helper()
	dir := t.TempDir()
	root = filepath.Join(dir, "app")
	sdk, err := filepath.Abs("../../sdk")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"app/encore.app": "{}\n",
		"app/go.mod":     "module encore.app\n\ngo 1.26.0\n\nrequire encore.dev v1.57.13\n",
		"ws/go.work":     "go 1.26.0\n\nuse (\n\t../app\n\t" + sdk + "\n)\n",
	}
	for _, f := range a.Files {
		if !strings.HasPrefix(f.Name, wanted) {
			files["app/"+f.Name] = string(f.Data)
		}
	}
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root, filepath.Join(dir, "ws", "go.work")
}

// expect compares got with the archive's expectation of that name, or records it with -update.
func expect(t *testing.T, path string, a *txtar.Archive, name, got string) {
	t.Helper()
	for i, f := range a.Files {
		if f.Name != wanted+name {
			continue
		}
		if *update {
			a.Files[i].Data = []byte(got)
		} else if string(f.Data) != got {
			t.Errorf("%s:\n--- got\n%s--- want\n%s", name, got, f.Data)
		}
		if *update {
			save(t, path, a)
		}
		return
	}
	if !*update {
		t.Fatalf("%s has no %s%s; run the test with -update", path, wanted, name)
	}
	a.Files = append(a.Files, txtar.File{Name: wanted + name, Data: []byte(got)})
	save(t, path, a)
}

func save(t *testing.T, path string, a *txtar.Archive) {
	t.Helper()
	if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

// archives runs a subtest for each archive that matches.
func archives(t *testing.T, pattern string, test func(t *testing.T, path string, a *txtar.Archive)) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no archives match %s: %v", pattern, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			test(t, path, a)
		})
	}
}

// TestRules checks each archive, an app that breaks one of Encore's rules, and compares what the
// host says about it, word for word.
func TestRules(t *testing.T) {
	t.Parallel()
	archives(t, "../../testdata/rules/*.txtar", func(t *testing.T, path string, a *txtar.Archive) {
		root, ws := unpack(t, a)
		var out bytes.Buffer
		err := run([]string{"--app", root, "--workspace", ws, "check"}, &out)
		var findings *diag.Error
		if !errors.As(err, &findings) {
			t.Fatalf("the app was accepted: %v\n%s", err, out.String())
		}
		expect(t, path, a, "findings", findings.Error()+"\n")
	})
}
