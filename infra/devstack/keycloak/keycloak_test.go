package keycloak

import (
	"archive/zip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := write(path, strings.NewReader(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// home is a distribution as far as it is looked at.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"bin/kc.sh": "#!/bin/sh\n", "conf/keycloak.conf": "", "providers/README": "", "themes/README": "",
		"version.txt": "Keycloak - Version 26.0.1\n", "lib/quarkus/app.dat": "shipped", "lib/lib/a.jar": "a",
	} {
		put(t, filepath.Join(dir, name), text)
	}
	return dir
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestADirectoryIsLaidOutAroundTheDistribution(t *testing.T) {
	t.Parallel()
	config := Config{
		Home: home(t), Dir: filepath.Join(t.TempDir(), "server"), Built: filepath.Join(t.TempDir(), "built"),
		RealmFiles: []string{"../../keycloak/tenantry-realm.json", "../../keycloak/demo.json"}, Logf: t.Logf,
	}
	for range 2 { // the second time over what the first left
		name, err := config.prepare()
		if err != nil || name != "tenantry" {
			t.Fatalf("%q, %v", name, err)
		}
		if got := read(t, filepath.Join(config.Dir, "lib/lib/a.jar")); got != "a" {
			t.Errorf("lib holds %q", got)
		}
		if !strings.Contains(read(t, filepath.Join(config.Dir, "data/import/tenantry-realm.json")), "ada@acme.test") {
			t.Error("the demo users are not imported")
		}
	}
	// What a server builds stays out of the distribution and serves the next one.
	if err := os.WriteFile(filepath.Join(config.Dir, builtDir, "app.dat"), []byte("built"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := config.keepBuilt(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := config.prepare(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(config.Dir, builtDir, "app.dat")); got != "built" {
		t.Errorf("the next server starts from %q", got)
	}
	if got := read(t, filepath.Join(config.Home, builtDir, "app.dat")); got != "shipped" {
		t.Errorf("the distribution was changed to %q", got)
	}
	if version, err := Version(config.Home); err != nil || version != "26.0.1" {
		t.Errorf("version %q, %v", version, err)
	}
	config.Home = t.TempDir()
	if _, err := config.prepare(); err == nil {
		t.Error("an empty directory was taken for Keycloak")
	}
}

func TestAnotherArchiveIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dist.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	archive := zip.NewWriter(f)
	if _, err := archive.Create("keycloak-26/bin/kc.sh"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(archive.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "to")
	var wrong *ChecksumError
	if err := unpack(path, to); !errors.As(err, &wrong) {
		t.Errorf("got %v, want a ChecksumError", err)
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("it was unpacked all the same")
	}
}

// A machine that cannot have Keycloak is told apart from one where it broke.
func TestFetchSaysWhyItCannotBeHad(t *testing.T) {
	for name, mvn := range map[string]string{
		"no maven":     "",
		"no network":   "#!/bin/sh\necho '[ERROR] Could not transfer artifact'; exit 1\n",
		"other answer": "#!/bin/sh\nexit 0\n",
	} {
		bin, tools := t.TempDir(), t.TempDir()
		if mvn != "" {
			put(t, filepath.Join(bin, "mvn"), mvn)
		}
		t.Setenv("PATH", bin)
		_, err := Fetch(t.Context(), tools, t.Logf)
		if reached := name == "other answer"; err == nil || errors.Is(err, ErrNotReachable) == reached {
			t.Errorf("%s: %v", name, err)
		}
		if name == "no network" && !strings.Contains(err.Error(), "Could not transfer") {
			t.Errorf("%v does not say what Maven said", err)
		}
		if left, _ := filepath.Glob(filepath.Join(tools, "mvn-*")); left != nil {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

func TestHasJava(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`openjdk version "17.0.15" 2025-04-15`: true,
		`openjdk version "21" 2023-09-19`:      true,
		`openjdk version "11.0.2" 2019-01-15`:  false,
		`java version "1.8.0_301"`:             false,
		`no such thing`:                        false,
	} {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "bin/java"), "#!/bin/sh\necho '"+text+"' >&2\n")
		if got := HasJava(t.Context(), []string{"JAVA_HOME=" + dir}); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestCheckWantsTheIssuerItself(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"issuer":"http://%s/realms/tenantry"}`, r.Host)
	}))
	t.Cleanup(server.Close)
	if err := Check(t.Context(), server.URL, server.URL+"/realms/tenantry"); err != nil {
		t.Error(err)
	}
	if err := Check(t.Context(), server.URL, "https://id.example/realms/tenantry"); err == nil {
		t.Error("another issuer passed")
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(gone.Close)
	if err := Check(t.Context(), gone.URL, gone.URL); err == nil {
		t.Error("an answer of 404 passed")
	}
}
