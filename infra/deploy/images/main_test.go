package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
)

func TestTheSameInputMakesTheSameImages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary, roots := filepath.Join(dir, "binary"), filepath.Join(dir, "roots")
	for _, name := range []string{binary, roots} {
		if err := os.WriteFile(name, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var first, second bytes.Buffer
	for _, report := range []*bytes.Buffer{&first, &second} {
		if err := run(binary, filepath.Join(dir, "oci"), roots, "r1", report); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() || strings.Count(first.String(), "sha256:") != len(roles) {
		t.Errorf("first %s, then %s", &first, &second)
	}
	for _, role := range roles {
		index, err := layout.ImageIndexFromPath(filepath.Join(dir, "oci", role.name))
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil || len(manifest.Manifests) != 1 {
			t.Fatalf("%s: %+v, %v", role.name, manifest, err)
		}
		image, err := index.Image(manifest.Manifests[0].Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if c := config.Config; c.User != nobody || c.Entrypoint[0] != "/tenantry" || !slices.Equal(c.Cmd, role.cmd) {
			t.Errorf("%s: %+v", role.name, c)
		}
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	if err := run("", "", "", "", &bytes.Buffer{}); err == nil {
		t.Error("no binary, and no complaint")
	}
	out := filepath.Join(t.TempDir(), "oci")
	if err := run(filepath.Join(t.TempDir(), "none"), out, "", "", &bytes.Buffer{}); err == nil {
		t.Error("a binary that is not there, and no complaint")
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("half a layout is left")
	}
}
