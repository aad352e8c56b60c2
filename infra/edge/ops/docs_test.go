package ops

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"encore.app/docs/openapi"
	encore "encore.dev"
)

func TestTheDocumentationIsForStrangersOnlyWhereTheOperatorWantsIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		setting string
		env     encore.EnvironmentMeta
		served  bool
	}{
		"development":           {"", encore.EnvironmentMeta{Name: "dev", Type: encore.EnvDevelopment}, true},
		"development, off":      {"off", encore.EnvironmentMeta{Name: "dev", Type: encore.EnvDevelopment}, false},
		"staging":               {"", encore.EnvironmentMeta{Name: "staging", Type: encore.EnvDevelopment}, false},
		"production":            {"", encore.EnvironmentMeta{Name: "production", Type: encore.EnvProduction}, false},
		"production, wanted so": {"on", encore.EnvironmentMeta{Name: "production", Type: encore.EnvProduction}, true},
	} {
		if served, err := docsServed(c.setting, c.env); served != c.served || err != nil {
			t.Errorf("%s: got %v, %v", name, served, err)
		}
	}
	if _, err := docsServed("yes", encore.EnvironmentMeta{}); err == nil {
		t.Error("a DOCS that is neither on nor off passed")
	}
}

func get(t *testing.T, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	if path == "/docs" {
		(&Service{}).Docs(w, r)
	} else {
		(&Service{}).DocsFile(w, r)
	}
	return w
}

func TestDocs(t *testing.T) {
	before := secrets.DOCS
	t.Cleanup(func() { secrets.DOCS = before })
	secrets.DOCS = "on"
	documents, err := fs.Glob(openapi.Files, "*.json")
	if err != nil || len(documents) != 4 {
		t.Fatalf("documents: %v, %v", documents, err)
	}
	for path, kind := range map[string]string{"/docs": "text/html", "/docs/viewer.js": "text/javascript", "/docs/viewer.css": "text/css"} {
		if w := get(t, path); w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
	}
	for _, name := range documents {
		w := get(t, "/docs/"+name)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" || w.Body.Len() < 1000 {
			t.Errorf("%s: %d, %d bytes", name, w.Code, w.Body.Len())
		}
		if again := get(t, "/docs/"+name, "If-None-Match", w.Header().Get("ETag")); again.Code != http.StatusNotModified {
			t.Errorf("%s was sent again: %d", name, again.Code)
		}
	}
	for _, path := range []string{"/docs/nothing.json", "/docs/openapi.go", "/docs/..", "/docs/."} {
		if w := get(t, path); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"not_found"`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	secrets.DOCS = "off"
	for _, path := range []string{"/docs", "/docs/all.json"} {
		if w := get(t, path); w.Code != http.StatusNotFound {
			t.Errorf("%s with DOCS off: %d", path, w.Code)
		}
	}
}

// The browser is told to load nothing from elsewhere, and the pages have nothing that it would refuse.
func TestThePagesKeepTheirPolicy(t *testing.T) {
	t.Parallel()
	policy := get(t, "/docs").Header().Get("Content-Security-Policy")
	if strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "http") {
		t.Errorf("policy: %s", policy)
	}
	refused := regexp.MustCompile(`https?://|<style|<script>|\sstyle=|\son[a-z]+="|innerHTML|javascript:|eval\(`)
	for _, pages := range []fs.FS{viewer, console} {
		err := fs.WalkDir(pages, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := fs.ReadFile(pages, path)
			if hit := refused.Find(text); hit != nil {
				t.Errorf("%s has %q", path, hit)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
