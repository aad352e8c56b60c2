package devstack

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestCheckAppEnv(t *testing.T) {
	t.Parallel()
	all := Env{}
	for _, name := range embedded {
		all[name] = "set"
	}
	for name, tc := range map[string]struct {
		env   Env
		unset []string // nil: accepted
		err   bool
	}{
		"unset":               {env: Env{}},
		"dev":                 {env: Env{"APP_ENV": "dev"}},
		"test":                {env: Env{"APP_ENV": "test"}},
		"production, all set": {env: all.With(Env{"APP_ENV": "production"})},
		"production, none":    {env: Env{"APP_ENV": "production"}, unset: embedded, err: true},
		"staging, one empty":  {env: all.With(Env{"APP_ENV": "staging", "REDIS_URL": ""}), unset: []string{"REDIS_URL"}, err: true},
		"a misspelt one":      {env: all.With(Env{"APP_ENV": "prod"}), err: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := checkAppEnv(tc.env)
			if (err != nil) != tc.err {
				t.Fatalf("error %v", err)
			}
			var unset *UnsetError
			if errors.As(err, &unset) != (tc.unset != nil) {
				t.Fatalf("error %v", err)
			}
			for _, variable := range tc.unset {
				if !strings.Contains(err.Error(), variable) {
					t.Errorf("%q does not name %s", err, variable)
				}
			}
		})
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ports.json")
	load := func() *ports {
		p, err := loadPorts(file)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	pick := func(p *ports, name string) int {
		port, err := p.pick(name)
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	p := load()
	a, b := pick(p, "a"), pick(p, "b")
	if a == b {
		t.Errorf("two parts share port %d", a)
	}
	if err := p.save(); err != nil {
		t.Fatal(err)
	}
	if got := pick(load(), "a"); got != a {
		t.Errorf("remembered port is %d, want %d", got, a)
	}

	stranger, err := net.Listen("tcp", loopback(a))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if got := pick(load(), "a"); got == a {
		t.Error("a remembered port that is taken was given out")
	}
	var taken *PortError
	if _, _, err := load().fixed(Env{"X_PORT": strconv.Itoa(a)}, "X_PORT"); !errors.As(err, &taken) || taken.Variable != "X_PORT" {
		t.Errorf("a fixed port that is taken: %v", err)
	}
	if _, ok, err := load().fixed(Env{}, "X_PORT"); ok || err != nil {
		t.Errorf("an unset variable: %v, %v", ok, err)
	}
	for _, bad := range []string{"x", "0", "65536", "-1"} {
		if _, _, err := load().fixed(Env{"X_PORT": bad}, "X_PORT"); err == nil {
			t.Errorf("%q was taken for a port", bad)
		}
	}
}

func TestDataDirHasOneOwner(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dev := filepath.Join(root, devName)
	first, err := openDataDir(dev)
	if err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	if _, err := openDataDir(dev); !errors.As(err, &busy) || busy.PID != strconv.Itoa(os.Getpid()) {
		t.Errorf("second owner: %v, want a BusyError with this process", err)
	}
	if err := Reset(root); !errors.As(err, &busy) {
		t.Errorf("reset of a running stack: %v, want a BusyError", err)
	}
	first.close()
	second, err := openDataDir(dev)
	if err != nil {
		t.Fatalf("after the first went: %v", err)
	}
	second.close()
}

func TestReset(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := Reset(root); err != nil {
		t.Fatalf("nothing to reset: %v", err)
	}
	dev := filepath.Join(root, devName)
	for _, dir := range []string{"postgres", "objects", toolsName, testPrefix + "killed"} {
		if err := os.MkdirAll(filepath.Join(dev, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	live, err := openDataDir(filepath.Join(dev, testPrefix+"live"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.close()
	if err := Reset(root); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dev)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{lockName, testPrefix + "live", toolsName}; !reflect.DeepEqual(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}

func TestWriteSecrets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), secretsName)
	if err := writeSecrets(file, Env{"CERBOS_ADDR": "127.0.0.1:1", "EXTRA": `a"b\c`}, []string{"EXTRA", "OPS_TOKEN"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if got, want := len(lines), 1+len(appSecrets)+1; got != want {
		t.Errorf("%d lines, want %d: a comment and each secret once", got, want)
	}
	for _, want := range []string{`CERBOS_ADDR: "127.0.0.1:1"`, `SENTRY_DSN: ""`, `EXTRA: "a\"b\\c"`} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("no line %s in:\n%s", want, text)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
	}
}

func TestSQLDBLinesOfAnotherServer(t *testing.T) {
	t.Parallel()
	got, err := (&stack{}).sqldbLines("postgres://u:it's@db.test:5433/app")
	want := "export ENCORE_SQLDB_HOST='db.test:5433'\nexport ENCORE_SQLDB_DATABASE='app'\n" +
		"export ENCORE_SQLDB_USER='u'\nexport ENCORE_SQLDB_PASSWORD='it'\\''s'\n"
	if err != nil || got != want {
		t.Errorf("got %s (%v)\nwant %s", got, err, want)
	}
}

func TestFindRoot(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	deep := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := FindRoot(deep); err == nil {
		t.Error("a checkout was found where there is none")
	}
	if err := os.WriteFile(filepath.Join(root, "encore.app"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := FindRoot(deep); err != nil || got != root {
		t.Errorf("FindRoot = %q, %v; want %q", got, err, root)
	}
}
