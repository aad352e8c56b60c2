package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/tools/txtar"

	"encore.app/infra/host/internal/build"
	"encore.app/infra/host/internal/manifest"
	"encore.app/infra/host/internal/workspace"
)

//go:embed testdata/app.txtar
var archive []byte

// buildServers builds both servers below dir, as releases are built.
func buildServers(dir string) (hosted, bare string, err error) {
	ws, err := unpack(dir)
	if err != nil {
		return "", "", err
	}
	hosted, bare = filepath.Join(dir, "hosted"), filepath.Join(dir, "bare")
	prepared, err := build.Prepare(ws)
	if err != nil {
		return "", "", err
	}
	if err := prepared.Build(hosted, "bench", true); err != nil {
		return "", "", fmt.Errorf("build the app: %w", err)
	}
	cmd := ws.Go("build", "-trimpath", "-ldflags", "-s -w", "-o", bare, "./bare")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", "", fmt.Errorf("build the bare server: %w", err)
	}
	return hosted, bare, nil
}

// unpack writes the archive into dir, in a workspace with the sdk and the project, whose token
// verifier both servers use.
func unpack(dir string) (*workspace.Workspace, error) {
	project, err := manifest.FindRoot(".")
	if err != nil {
		return nil, err
	}
	host := filepath.Join(project, "infra", "host")
	sums, err := os.ReadFile(filepath.Join(host, "go.work.sum"))
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "app")
	work := filepath.Join(dir, "go.work")
	files := map[string][]byte{
		work:          fmt.Appendf(nil, "go 1.26.0\n\nuse (\n\t./app\n\t%s\n\t%s\n)\n", filepath.Join(host, "sdk"), project),
		work + ".sum": sums,
	}
	for _, f := range txtar.Parse(archive).Files {
		files[filepath.Join(root, filepath.FromSlash(f.Name))] = f.Data
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return nil, err
		}
	}
	return workspace.Open(root, work)
}
