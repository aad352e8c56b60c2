package cerbos

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	goodPolicy = `apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: doc
  version: default
  rules:
    - {actions: [read], effect: EFFECT_ALLOW, roles: [user]}
`
	settings = "server: {}\nstorage: {driver: disk, disk: {directory: policies}}\ntelemetry: {disabled: true}\n"
)

func TestServer(t *testing.T) {
	t.Parallel()
	program, err := Fetch(t.Context(), toolsDir(t), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("good policies", func(t *testing.T) {
		t.Parallel()
		server, err := Start(t.Context(), testConfig(t, program, goodPolicy))
		if err != nil {
			t.Fatal(err)
		}
		defer server.Stop()
		if version, err := Version(t.Context(), server.Addr()); err != nil || version != ServerVersion {
			t.Errorf("version %q, %v; want %s", version, err, ServerVersion)
		}
	})
	t.Run("broken policies", func(t *testing.T) {
		t.Parallel()
		_, err := Start(t.Context(), testConfig(t, program, strings.Replace(goodPolicy, "EFFECT_ALLOW", "EFFECT_PERHAPS", 1)))
		if err == nil || !strings.Contains(err.Error(), "doc.yaml") || !strings.Contains(err.Error(), "EFFECT_PERHAPS") {
			t.Errorf("error %v, want what the server said about the file", err)
		}
	})
}

func TestVersionOfNobody(t *testing.T) {
	t.Parallel()
	if _, err := Version(t.Context(), "unix:"+filepath.Join(t.TempDir(), "none.sock")); err == nil {
		t.Error("nobody answered, and yet there was a version")
	}
}

// TestFetchRefusesAnotherProgram has a registry serve something that is not the pinned archive.
func TestFetchRefusesAnotherProgram(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	archive := filepath.Join(bin, "x.tgz")
	writeArchive(t, archive, "package/cerbos-linux-x64", "#!/bin/sh\n")
	// An npm that leaves this archive where it was told to put one.
	npm := "#!/bin/sh\nwhile [ \"$1\" != --pack-destination ]; do shift; done\ncp '" + archive + "' \"$2\"\n"
	if err := os.WriteFile(filepath.Join(bin, "npm"), []byte(npm), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	err := releases["amd64"].fetch(context.Background(), filepath.Join(dir, "cerbos"), t.Logf)
	var wrong *ChecksumError
	if !errors.As(err, &wrong) {
		t.Errorf("error %v, want a ChecksumError", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("the refused archive left %v (%v)", left, err)
	}
}

func TestExtract(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	archive, out := filepath.Join(dir, "x.tgz"), filepath.Join(dir, "out")
	writeArchive(t, archive, "package/server", "text")
	if err := extract(archive, "package/server", out); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(out); err != nil || string(text) != "text" {
		t.Errorf("extracted %q, %v", text, err)
	}
	if err := extract(archive, "package/other", out+"2"); err == nil {
		t.Error("a member that is not there was extracted")
	}
	if err := check(archive, sha512.New(), "00"); err == nil {
		t.Error("a wrong checksum was accepted")
	}
}

func writeArchive(t *testing.T, path, member, text string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	zipped := gzip.NewWriter(f)
	files := tar.NewWriter(zipped)
	err = files.WriteHeader(&tar.Header{Name: member, Mode: 0o755, Size: int64(len(text))})
	if err == nil {
		_, err = files.Write([]byte(text))
	}
	if err = errors.Join(err, files.Close(), zipped.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func testConfig(t *testing.T, program, policy string) Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "doc.yaml"), []byte(policy), 0o644); err != nil {
		t.Fatal(err)
	}
	logs := t.TempDir()
	return Config{
		Program: program, ConfigFile: filepath.Join(logs, "cerbos.yaml"), Settings: []byte(settings), Policies: dir,
		GRPCPort: freePort(t), HTTPPort: freePort(t),
		LogFile: filepath.Join(logs, "cerbos.log"), PIDFile: filepath.Join(logs, "cerbos.pid"), Logf: t.Logf,
	}
}

// toolsDir is the checkout's own, so that tests and runs fetch the server once.
func toolsDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../../.dev/tools")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
