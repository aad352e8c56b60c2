package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, err string }{
		{"comments and trailing commas", "{\n// no id\n\"id\": \"\", \"global_cors\": {\"allow_headers\": [\"A\",],},\n}", ""},
		{"not JSON", "{", "encore.app"},
		{"another language", `{"lang": "typescript"}`, "Go apps only"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, Name), []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			f, err := Read(dir)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one that says %q", err, tt.err)
				}
				return
			}
			if err != nil || f.CORS.AllowHeaders[0] != "A" || f.CORS.AllowOriginsWithoutCredentials != nil {
				t.Fatalf("got %+v, %v", f, err)
			}
		})
	}
}

func TestFindRoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	below := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := FindRoot(below); !errors.Is(err, ErrNoApp) {
		t.Fatalf("got %v, want ErrNoApp", err)
	}
	if err := os.WriteFile(filepath.Join(dir, Name), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if root, err := FindRoot(below); err != nil || root != dir {
		t.Fatalf("got %q, %v", root, err)
	}
}
