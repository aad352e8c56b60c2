package build

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"encore.app/infra/host/internal/source"
	"encore.app/infra/host/internal/workspace"
	"encore.app/infra/host/internal/wrap"
)

// goCommand is ws.Go with the overlay and the build tags in place.
func (p *Prepared) goCommand(verb string, args ...string) *exec.Cmd {
	all := []string{verb, "-overlay", p.Overlay}
	if len(p.Workspace.Tags) > 0 {
		all = append(all, "-tags", strings.Join(p.Workspace.Tags, ","))
	}
	cmd := p.Workspace.Go(append(all, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}

// Binary is where [Prepared.Build] puts the app when it is given no name.
func (p *Prepared) Binary() string {
	return filepath.Join(p.Workspace.Root, filepath.FromSlash(dir), "bin", "app")
}

// Build compiles the app to output, a static binary. A release has no local paths in it, which
// costs a second copy of everything in the build cache. An empty revision is asked of git.
func (p *Prepared) Build(output, revision string, release bool) error {
	output, err := filepath.Abs(output)
	if err != nil {
		return err
	}
	modified := false
	if revision == "" {
		revision, modified = gitRevision(p.Workspace.Root)
	}
	args := []string{"-buildvcs=false", "-ldflags", fmt.Sprintf("-s -w -X main.revision=%s -X main.modified=%t", revision, modified)}
	if release {
		args = append(args, "-trimpath")
	}
	return p.goCommand("build", append(args, "-o", output, "./"+mainDir)...).Run()
}

// gitRevision asks git for the commit; an app outside a repository has none.
func gitRevision(root string) (revision string, modified bool) {
	head, err := exec.Command("git", "-C", root, "rev-parse", "HEAD").Output()
	if err != nil {
		return "", false
	}
	status, err := exec.Command("git", "-C", root, "status", "--porcelain").Output()
	return strings.TrimSpace(string(head)), err != nil || len(status) > 0
}

// WriteEditorFiles puts encore.gen.go files into the service directories, so that editors and
// linters see the wrappers. They are ignored by git and by builds.
func WriteEditorFiles(ws *workspace.Workspace) ([]string, error) {
	t, err := source.Read(ws.Root, ws.Tags)
	if err != nil {
		return nil, err
	}
	if err := t.Diags.Err(); err != nil {
		return nil, err
	}
	var written []string
	for _, p := range t.Packages {
		content, err := wrap.File(t, p, wrap.Editor)
		if err != nil {
			return nil, err
		}
		if content == nil {
			continue
		}
		name := filepath.Join(p.Dir, source.GeneratedFile)
		if err := writeFile(name, content); err != nil {
			return nil, err
		}
		written = append(written, name)
	}
	return written, nil
}
