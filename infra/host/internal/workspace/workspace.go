// Package workspace knows the Go workspace that puts the host's implementation
// of encore.dev in the place of the published one, and runs the go command in it.
package workspace

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/mod/modfile"
)

// Workspace is an app together with the go.work that its host is built in.
type Workspace struct {
	Root string // the app's root
	File string // the go.work file
	SDK  string // directory of the module that stands in for encore.dev
	Tags []string
}

// Open reads file, or infra/host/go.work below the root if file is empty.
func Open(root, file string) (*Workspace, error) {
	if file == "" {
		file = filepath.Join(root, "infra", "host", "go.work")
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the host's workspace: %w; name it with --workspace", err)
	}
	work, err := modfile.ParseWork(file, data, nil)
	if err != nil {
		return nil, err
	}
	w := &Workspace{Root: root, File: file}
	for _, use := range work.Use {
		dir := use.Path
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(filepath.Dir(file), dir)
		}
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			return nil, err
		}
		if modfile.ModulePath(mod) == "encore.dev" {
			w.SDK = dir
		}
	}
	if w.SDK == "" {
		return nil, fmt.Errorf("%s uses no module named encore.dev", file)
	}
	return w, nil
}

// Env is the environment in which the go command sees the host's encore.dev.
func (w *Workspace) Env() []string {
	return append(os.Environ(), "GOWORK="+w.File, "CGO_ENABLED=0")
}

// Go prepares a go command in the app's root.
func (w *Workspace) Go(args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = w.Root
	cmd.Env = w.Env()
	return cmd
}
