package build

import (
	"os"
	"path/filepath"
	"testing"

	"encore.app/infra/host/internal/workspace"
)

// TestInputs holds that the hash changes with everything that generation reads, and with nothing else.
func TestInputs(t *testing.T) {
	t.Parallel()
	root, sdk := t.TempDir(), t.TempDir()
	put := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	work := filepath.Join(sdk, "go.work")
	put(work, "go 1.26.0\n")
	ws := &workspace.Workspace{Root: root, File: work, SDK: sdk}
	sum := func() string {
		t.Helper()
		s, err := inputs(ws)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	tests := []struct {
		path    string
		changes bool
	}{
		{filepath.Join(root, "a", "a.go"), true},
		{filepath.Join(root, "a", "a_test.go"), true},
		{filepath.Join(root, "a", "a.cue"), true},
		{filepath.Join(root, "a", "migrations", "1_a.up.sql"), true},
		{filepath.Join(root, "encore.app"), true},
		{filepath.Join(root, "go.mod"), true},
		{filepath.Join(sdk, "host", "host.go"), true},
		{filepath.Join(root, "a", "README.md"), false},
		{filepath.Join(root, ".dev", "x.go"), false},
		{filepath.Join(root, "node_modules", "x.go"), false},
	}
	for _, tt := range tests {
		put(filepath.Join(filepath.Dir(tt.path), "placeholder"), "") // a new directory counts by itself
		before := sum()
		put(tt.path, "package a\n")
		if changed := sum() != before; changed != tt.changes {
			t.Errorf("%s: changed %t, want %t", tt.path, changed, tt.changes)
		}
		if sum() != sum() {
			t.Errorf("%s: the hash is not stable", tt.path)
		}
	}
	before := sum()
	ws.Tags = []string{"x"}
	if sum() == before {
		t.Error("build tags do not change the hash")
	}
}
