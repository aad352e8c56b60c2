package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"golang.org/x/tools/txtar"
)

// TestApps compares what the host finds in whole apps and how it describes them.
func TestApps(t *testing.T) {
	t.Parallel()
	archives(t, "../../testdata/apps/*.txtar", func(t *testing.T, path string, a *txtar.Archive) {
		root, ws := unpack(t, a)
		host := func(args ...string) string {
			t.Helper()
			var out bytes.Buffer
			if err := run(append([]string{"--app", root, "--workspace", ws}, args...), &out); err != nil {
				t.Fatal(err)
			}
			return out.String()
		}
		expect(t, path, a, "check", host("check", "-v"))
		expect(t, path, a, "openapi.json", host("openapi"))
		for _, audience := range []string{"admin", "org", "app", "all"} {
			validate(t, []byte(host("openapi", "--audience", audience)))
		}
		if app := host("openapi", "--audience", "app"); strings.Contains(app, "/api/v1/admin/") || !strings.Contains(app, "/api/v1/app/") {
			t.Errorf("the app's document is not limited to its audience:\n%s", app)
		}

		first := generated(t, root, host("overlay"))
		if second := generated(t, root, host("overlay")); second != first {
			t.Error("generating twice gave two results")
		}
		if err := os.RemoveAll(filepath.Join(root, ".dev")); err != nil {
			t.Fatal(err)
		}
		if again := generated(t, root, host("overlay")); again != first {
			t.Error("generating afresh gave another result")
		}
		expect(t, path, a, "generated", first)

		written := host("gen")
		if !strings.Contains(written, filepath.Join("users", "encore.gen.go")) || strings.Contains(written, "catalog") {
			t.Errorf("gen wrote %q; want the service with a struct only", written)
		}
	})
}

func validate(t *testing.T, doc []byte) {
	t.Helper()
	loader := openapi3.NewLoader()
	d, err := loader.LoadFromData(doc)
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	if err := d.Validate(loader.Context, openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
}

// generated is every generated file below root as one archive.
func generated(t *testing.T, root, flag string) string {
	t.Helper()
	if want := "-overlay=" + filepath.Join(root, ".dev/host/overlay.json") + "\n"; flag != want {
		t.Fatalf("overlay printed %q, want %q", flag, want)
	}
	var a txtar.Archive
	base := filepath.Join(root, ".dev/host")
	err := filepath.WalkDir(base, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(p) != ".go" {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(base, p)
		// The archive is nested in another: its markers must not look like the outer one's.
		a.Files = append(a.Files, txtar.File{Name: rel, Data: data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll("\n"+string(txtar.Format(&a)), "\n-- ", "\n== ")[1:]
}
