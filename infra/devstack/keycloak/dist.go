package keycloak

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// DistVersion is the version that is fetched where KEYCLOAK_HOME names none.
const DistVersion = "26.7.3"

// distSHA256 is the checksum of org.keycloak:keycloak-quarkus-dist:zip of DistVersion.
const distSHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"

// MinJava is the oldest Java that Keycloak 26 runs on.
const MinJava = 17

// ErrNotReachable is returned where Maven Central has no distribution for us, or is not reached.
var ErrNotReachable = errors.New("Maven Central does not give the distribution")

// ChecksumError is a distribution that is not the pinned one: somebody should look at it.
type ChecksumError struct{ Got string }

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("the Keycloak distribution has checksum %s, not the pinned %s", e.Got, distSHA256)
}

// Fetched is where Fetch puts the distribution below dir.
func Fetched(dir string) string { return filepath.Join(dir, "keycloak-"+DistVersion) }

// Built is where the servers of the fetched distribution keep what they build.
func Built(dir string) string { return Fetched(dir) + "-built" }

// IsFetched reports whether Fetch has nothing left to do.
func IsFetched(dir string) bool {
	_, err := os.Stat(filepath.Join(Fetched(dir), "version.txt"))
	return err == nil
}

// HasMaven reports whether mvn is there to fetch with.
func HasMaven() bool {
	_, err := exec.LookPath("mvn")
	return err == nil
}

var javaVersion = regexp.MustCompile(`version "(?:1\.)?(\d+)`)

// HasJava reports whether the Java that Keycloak would run on is new enough.
func HasJava(ctx context.Context, env []string) bool {
	java := "java"
	for _, item := range env {
		if home, ok := strings.CutPrefix(item, "JAVA_HOME="); ok && home != "" {
			java = filepath.Join(home, "bin", "java")
		}
	}
	out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if err != nil {
		return false
	}
	found := javaVersion.FindSubmatch(out)
	if found == nil {
		return false
	}
	major, err := strconv.Atoi(string(found[1]))
	return err == nil && major >= MinJava
}

// Version reads the version of a distribution.
func Version(home string) (string, error) {
	text, err := os.ReadFile(filepath.Join(home, "version.txt"))
	if err != nil {
		return "", fmt.Errorf("no Keycloak in %s: %w", home, err)
	}
	_, version, _ := strings.Cut(strings.TrimSpace(string(text)), "Version ")
	return version, nil
}

// Fetch returns the distribution below dir, which it fills where need be. Runs that need it at the
// same time wait for one another.
func Fetch(ctx context.Context, dir string, logf func(format string, args ...any)) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "keycloak.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // lets go of the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if IsFetched(dir) {
		return Fetched(dir), nil
	}
	scratch, err := os.MkdirTemp(dir, "mvn-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	logf("fetching Keycloak %s (mvn org.keycloak:keycloak-quarkus-dist, 170 MB, once)", DistVersion)
	cmd := exec.CommandContext(ctx, "mvn", "--quiet", "--batch-mode", "dependency:copy",
		"-Dartifact=org.keycloak:keycloak-quarkus-dist:"+DistVersion+":zip",
		"-DoutputDirectory="+scratch, "-Dmaven.repo.local="+filepath.Join(scratch, "repository"))
	cmd.Dir = scratch // no pom.xml of anybody's
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: mvn: %w\n%s", ErrNotReachable, err, lastLine(out))
	}
	unpacked := filepath.Join(scratch, "dist")
	if err := unpack(filepath.Join(scratch, "keycloak-quarkus-dist-"+DistVersion+".zip"), unpacked); err != nil {
		return "", err
	}
	if err := os.Rename(filepath.Join(unpacked, filepath.Base(Fetched(dir))), Fetched(dir)); err != nil {
		return "", err
	}
	return Fetched(dir), nil
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// unpack checks an archive against the pinned checksum and extracts it.
func unpack(archive, to string) error {
	if err := checkSum(archive); err != nil {
		return err
	}
	files, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer files.Close()
	for _, f := range files.File {
		if !filepath.IsLocal(f.Name) {
			return fmt.Errorf("%s leads out of the archive", f.Name)
		}
		if f.FileInfo().IsDir() {
			continue
		}
		if err := extract(f, filepath.Join(to, f.Name)); err != nil {
			return err
		}
	}
	return nil
}

func checkSum(archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != distSHA256 {
		return &ChecksumError{Got: got}
	}
	return nil
}

func extract(f *zip.File, path string) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	return write(path, in, f.Mode().Perm())
}

// write makes a file and the directories above it.
func write(path string, in io.Reader, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
