package cerbos

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// ServerVersion is the version that the stack runs.
const ServerVersion = "0.55.0"

// release is one machine's npm package and its checksums.
type release struct {
	pkg       string
	member    string // the program's path in the archive
	integrity string // of the archive, as npm writes it
	sha256    string // of the program
}

// releases holds what the registry offers of ServerVersion, by GOARCH.
var releases = map[string]release{
	"amd64": {
		pkg:       "@cerbos/cerbos-linux-x64",
		member:    "package/cerbos-linux-x64",
		integrity: "sha512-eLZUycJfaQWK0XTRgH/Oz2E3XiNCUavDd1LhzFxhUpZ3s5CuQqmqG327ta0On8YOTxuZO/19cG4kvfC22r03/Q==",
		sha256:    "1bb7264706e49f868551b355ef0a8e3b57947cccfe0551fb3dfae503f458ff7b",
	},
}

// ErrNoNPM is returned where the server has to be fetched and npm is not installed.
var ErrNoNPM = errors.New("npm is needed once to fetch the Cerbos server, and is not installed")

// NeedsNPM reports whether Fetch would call npm, and npm is not there.
func NeedsNPM(dir string) bool {
	if _, known := releases[runtime.GOARCH]; !known {
		return false
	}
	for _, path := range []string{fetchedPath(dir), builtPath(dir)} {
		if _, err := os.Stat(path); err == nil {
			return false
		}
	}
	_, err := exec.LookPath("npm")
	return err != nil
}

func fetchedPath(dir string) string { return filepath.Join(dir, "cerbos-"+ServerVersion) }
func builtPath(dir string) string   { return fetchedPath(dir) + "-built" }

// Fetch returns the path of the server below dir, which it fills where need be. Runs that need
// it at the same time wait for one another.
func Fetch(ctx context.Context, dir string, logf func(format string, args ...any)) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "cerbos.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // lets go of the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(builtPath(dir)); err == nil {
		return builtPath(dir), nil
	}
	if rel, known := releases[runtime.GOARCH]; known {
		path := fetchedPath(dir)
		err := check(path, sha256.New(), rel.sha256)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			logf("%v; fetching it again", err)
		}
		if err = rel.fetch(ctx, path, logf); err == nil {
			return path, nil
		}
		var wrong *ChecksumError
		if errors.As(err, &wrong) {
			return "", err // somebody should look at this
		}
		logf("%v", err)
	}
	return builtPath(dir), build(ctx, builtPath(dir), logf)
}

// fetch has npm bring the archive and takes the program out of it.
func (r release) fetch(ctx context.Context, path string, logf func(string, ...any)) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return ErrNoNPM
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), "npm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	logf("fetching the Cerbos server %s (npm %s, 32 MB, once)", ServerVersion, r.pkg)
	cmd := exec.CommandContext(ctx, npm, "pack", r.pkg+"@"+ServerVersion, "--silent", "--pack-destination", dir)
	cmd.Dir = dir // no package.json of anybody's
	// npm's own files stay in the checkout too.
	cmd.Env = append(os.Environ(), "npm_config_cache="+filepath.Join(dir, "cache"), "npm_config_update_notifier=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm pack %s@%s: %w\n%s", r.pkg, ServerVersion, err, out)
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("npm pack %s left %d archives instead of one", r.pkg, len(archives))
	}
	want, err := base64.StdEncoding.DecodeString(r.integrity[len("sha512-"):])
	if err != nil {
		return err
	}
	if err := check(archives[0], sha512.New(), hex.EncodeToString(want)); err != nil {
		return err
	}
	program := filepath.Join(dir, "program")
	if err := extract(archives[0], r.member, program); err != nil {
		return err
	}
	if err := check(program, sha256.New(), r.sha256); err != nil {
		return err
	}
	return os.Rename(program, path)
}

// buildModule is what the server is built in: its own go.mod replaces modules, which `go install`
// refuses.
const buildModule = "module build\n\ngo 1.26.4\n\nrequire github.com/cerbos/cerbos v" + ServerVersion + "\n"

// versionSymbol is where the server keeps the version that it reports.
const versionSymbol = "github.com/cerbos/cerbos/internal/util.Version"

// build makes the server from its Go module, whose checksum the Go toolchain checks.
func build(ctx context.Context, path string, logf func(string, ...any)) error {
	logf("building the Cerbos server %s for %s from its Go module (minutes, once)", ServerVersion, runtime.GOARCH)
	dir, err := os.MkdirTemp(filepath.Dir(path), "go-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(buildModule), 0o644); err != nil {
		return err
	}
	program := filepath.Join(dir, "cerbos")
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w -X "+versionSymbol+"="+ServerVersion, "-o", program, "github.com/cerbos/cerbos/cmd/cerbos")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the Cerbos server (CERBOS_BIN names one that is there already): %w\n%s", err, out)
	}
	return os.Rename(program, path)
}

// ChecksumError is a file that is not the pinned one.
type ChecksumError struct{ Path, Want, Got string }

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("%s has checksum %s, not the pinned %s", e.Path, e.Got, e.Want)
}

func check(path string, h hash.Hash, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return &ChecksumError{Path: path, Want: want, Got: got}
	}
	return nil
}

// extract writes one member of a gzipped tar archive to a program file.
func extract(archive, member, to string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if err != nil {
			return fmt.Errorf("%s has no %s: %w", archive, member, err)
		}
		if header.Name != member {
			continue
		}
		out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
		if err != nil {
			return err
		}
		if _, err := io.Copy(out, files); err != nil {
			out.Close()
			return err
		}
		return out.Close()
	}
}
