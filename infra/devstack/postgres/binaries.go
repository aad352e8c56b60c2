package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// MinMajor is the oldest major version that the app supports.
const MinMajor = 15

// ErrNotInstalled is returned where no usable Postgres binaries are found.
var ErrNotInstalled = errors.New("no Postgres server of version 15 or newer is installed")

// FindBin returns the directory of the server's binaries: override if it is set, else the newest
// of Debian's, else what PATH has. A cluster that exists already (dataDir) needs its own version.
func FindBin(override, dataDir string) (string, error) {
	want := 0
	if text, err := os.ReadFile(filepath.Join(dataDir, "PG_VERSION")); err == nil {
		want, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if override != "" {
		if !hasServer(override) {
			return "", fmt.Errorf("POSTGRES_BIN=%s holds no postgres and initdb", override)
		}
		return override, nil
	}
	installed := debianBins()
	for _, b := range installed {
		if want == 0 || b.major == want {
			return b.dir, nil
		}
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil && hasServer(filepath.Dir(path)) {
			return filepath.Dir(path), nil
		}
	}
	if len(installed) > 0 {
		return "", fmt.Errorf("%s was made by Postgres %d, which is not installed (make reset throws the data away)", dataDir, want)
	}
	return "", ErrNotInstalled
}

type binaries struct {
	dir   string
	major int
}

// debianBins lists what Debian's packages installed, newest first.
func debianBins() []binaries {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well-formed
	var found []binaries
	for _, dir := range dirs {
		major, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err == nil && major >= MinMajor && hasServer(dir) {
			found = append(found, binaries{dir, major})
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].major > found[j].major })
	return found
}

func hasServer(dir string) bool {
	for _, name := range []string{"postgres", "initdb"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}
