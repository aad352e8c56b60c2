// Package build turns an app into something the stock go command can build and
// test: generated files below .dev/host, an overlay that puts them in their
// packages, and the go commands themselves.
package build

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"encore.app/infra/host/internal/app"
	"encore.app/infra/host/internal/gen"
	"encore.app/infra/host/internal/source"
	"encore.app/infra/host/internal/workspace"
	"encore.app/infra/host/internal/wrap"
)

// Paths below the app's root. All of it is ignored by git and by the go command's patterns.
const (
	dir         = ".dev/host"
	overlayFile = dir + "/overlay.json"
	stateFile   = dir + "/state"
	mainDir     = dir + "/main"
)

// Prepared is an app whose generated code is on disk.
type Prepared struct {
	Workspace *workspace.Workspace
	Overlay   string // for go build -overlay
}

// Prepare generates what is needed to build the app, unless nothing has changed since the last time.
func Prepare(ws *workspace.Workspace) (*Prepared, error) {
	p := &Prepared{Workspace: ws, Overlay: filepath.Join(ws.Root, filepath.FromSlash(overlayFile))}
	sum, err := inputs(ws)
	if err != nil {
		return nil, err
	}
	state := filepath.Join(ws.Root, filepath.FromSlash(stateFile))
	if old, err := os.ReadFile(state); err == nil && string(old) == sum {
		if _, err := os.Stat(p.Overlay); err == nil {
			return p, nil
		}
	}
	a, t, err := app.Read(ws)
	if err != nil {
		return nil, err
	}
	// The state goes first and comes back last: an interrupted run must not look finished.
	if err := os.Remove(state); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := write(a, t, p.Overlay); err != nil {
		return nil, err
	}
	return p, writeFile(state, []byte(sum))
}

// write puts the generated files and the overlay on disk.
func write(a *app.App, t *source.Tree, overlay string) error {
	replace := map[string]string{}
	for _, stale := range t.Stale {
		replace[stale] = "" // generated for another host, or by an older run
	}
	base := filepath.Join(a.Root, filepath.FromSlash(dir))
	kept := map[string]bool{}
	put := func(p *source.Package, name string, content []byte) error {
		to := filepath.Join(base, "src", filepath.FromSlash(p.Rel), name)
		replace[filepath.Join(p.Dir, name)] = to
		kept[to] = true
		return writeFile(to, content)
	}
	var registered []*app.Package
	for _, p := range a.Packages {
		if p.Name == "main" {
			continue
		}
		register, err := gen.Register(a, p)
		if err != nil {
			return err
		}
		wrappers, err := wrap.File(t, p.Package, wrap.Runtime)
		if err != nil {
			return err
		}
		if register != nil {
			registered = append(registered, p)
			if err := put(p.Package, gen.RegisterFile, register); err != nil {
				return err
			}
		}
		if wrappers != nil {
			if err := put(p.Package, source.GeneratedFile, wrappers); err != nil {
				return err
			}
		}
		for _, f := range p.Files {
			if renamed := wrap.Rename(t, p.Package, f); renamed != nil {
				if err := put(p.Package, filepath.Base(f.Path), renamed); err != nil {
					return err
				}
			}
		}
	}
	main, err := gen.Main(a, registered)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(a.Root, filepath.FromSlash(mainDir), "main.go"), main); err != nil {
		return err
	}
	if err := sweep(filepath.Join(base, "src"), kept); err != nil {
		return err
	}
	data, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "\t")
	if err != nil {
		return err
	}
	return writeFile(overlay, data)
}

// writeFile leaves a file alone whose content is right already, so that build caches stay warm,
// and replaces it as a whole, because builds may run side by side.
func writeFile(name string, content []byte) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already if all went well
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// sweep removes generated files of packages that are gone.
func sweep(root string, kept map[string]bool) error {
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || kept[p] {
			return err
		}
		return os.Remove(p)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// inputs hashes everything that generation depends on: the app's Go, CUE, SQL and module files,
// the API of the sdk, the generator itself and the build tags.
func inputs(ws *workspace.Workspace) (string, error) {
	h := sha256.New()
	add := func(name string) error {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		h.Write([]byte(name + "\x00"))
		h.Write(sum[:])
		return nil
	}
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	for _, name := range []string{exe, ws.File} {
		if err := add(name); err != nil {
			return "", err
		}
	}
	h.Write([]byte(strings.Join(ws.Tags, ",")))
	for _, root := range []string{ws.Root, ws.SDK} {
		err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := e.Name()
			if e.IsDir() {
				if p != root && (strings.HasPrefix(name, ".") || name == "node_modules" || isModule(p)) {
					return filepath.SkipDir
				}
				h.Write([]byte(p + "\x00")) // a new directory can be a finding
				return nil
			}
			switch filepath.Ext(name) {
			case ".go", ".cue", ".sql", ".mod", ".sum", ".app", ".work":
				return add(p)
			}
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
