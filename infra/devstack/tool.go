package devstack

import (
	"context"
	"fmt"

	"encore.app/infra/devstack/cerbos"
)

// Tool is the path of a program of the stack's for those who run it by itself, fetched where need be:
// "cerbos" is the only one. It installs nothing.
func Tool(ctx context.Context, config Config, name string) (string, error) {
	switch {
	case name != "cerbos":
		return "", fmt.Errorf("no tool is called %q", name)
	case config.Env["CERBOS_BIN"] != "":
		return config.Env["CERBOS_BIN"], nil
	case cerbos.NeedsNPM(config.toolsDir()):
		return "", &NotInstalledError{Packages: []string{"npm"}}
	}
	return cerbos.Fetch(ctx, config.toolsDir(), config.logf)
}
