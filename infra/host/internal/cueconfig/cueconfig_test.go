package cueconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEvaluate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		files map[string]string
		want  map[string]string
		err   string
	}{
		{"no files", nil, map[string]string{"development": `{}`, "test": `{}`}, ""},
		{"by environment", map[string]string{"config.cue": `
Limit: 10
if #Meta.Environment.Type == "production" { Fast: true }
if #Meta.Environment.Type != "production" { Fast: false }`},
			map[string]string{"production": `{"Limit":10,"Fast":true}`, "development": `{"Limit":10,"Fast":false}`, "test": `{"Limit":10,"Fast":false}`}, ""},
		{"two files of a package", map[string]string{"a.cue": "package x\nA: 1\n", "b.cue": "package x\nB: A + 1\n"},
			map[string]string{"test": `{"A":1,"B":2}`}, ""},
		{"generated file is left out", map[string]string{"a.cue": "A: 1", "encore.gen.cue": "A: 2"}, map[string]string{"test": `{"A":1}`}, ""},
		{"not concrete", map[string]string{"a.cue": "A: int"}, nil, "A: incomplete value int"},
		{"conflict", map[string]string{"a.cue": "A: 1", "b.cue": "A: 2"}, nil, "conflicting values"},
		{"unknown URL", map[string]string{"a.cue": "A: #Meta.APIBaseURL"}, nil, "incomplete value string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, src := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Evaluate(dir)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one that says %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for env, want := range tt.want {
				if got[env] != want {
					t.Errorf("%s: got %s, want %s", env, got[env], want)
				}
			}
		})
	}
}
