package gen

import (
	"bytes"
	"fmt"
	"go/format"
	"path"
	"strings"

	"encore.app/infra/host/internal/app"
)

// Main makes the main package: it imports every package that registers something and hands over
// to the host. The revision comes from the linker, so that it does not change the source.
func Main(a *app.App, registered []*app.Package) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(header + "// Command main runs the app on the stock-Go host.\npackage main\n\nimport (\n\t\"encore.dev/host\"\n\n")
	module := a.Module()
	for _, p := range registered {
		if importable(module, p.Path) {
			fmt.Fprintf(&b, "\t_ %q\n", p.Path)
		}
	}
	b.WriteString(")\n\n// Set by the linker.\nvar revision, modified string\n\n")
	c := a.Manifest.CORS
	fmt.Fprintf(&b, `func main() {
	host.RegisterApp(host.App{
		ID:       %q,
		Revision: revision,
		Modified: modified == "true",
		CORS: host.CORS{
			AllowHeaders:                   %#v,
			ExposeHeaders:                  %#v,
			AllowOriginsWithoutCredentials: %#v,
			AllowOriginsWithCredentials:    %#v,
		},
	})
	host.Main()
}
`, a.Manifest.ID, c.AllowHeaders, c.ExposeHeaders, c.AllowOriginsWithoutCredentials, c.AllowOriginsWithCredentials)
	return format.Source(b.Bytes())
}

// importable reports whether a package outside all others may import p: one in an internal
// directory below the root is linked in through the packages beside it.
func importable(module, importPath string) bool {
	rest := strings.TrimPrefix(importPath, module+"/")
	if strings.HasPrefix(rest, "internal/") {
		rest = strings.TrimPrefix(rest, "internal/")
	}
	return !strings.Contains("/"+path.Clean(rest)+"/", "/internal/")
}
