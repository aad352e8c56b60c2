package wrap

import (
	"fmt"
	"go/types"
	"sort"
	"strings"

	"encore.app/infra/host/internal/source"
)

// Imports hands out names for the packages that a generated file refers to, so that none
// collides with what the package itself declares.
type Imports struct {
	reserved map[string]bool
	byPath   map[string]string
}

// NewImports reserves names that the generated file must not import under.
func NewImports(reserved map[string]bool) *Imports {
	im := &Imports{reserved: map[string]bool{}, byPath: map[string]string{}}
	for n := range reserved {
		im.reserved[n] = true
	}
	for _, n := range types.Universe.Names() {
		im.reserved[n] = true
	}
	return im
}

// Reserve keeps further names free.
func (im *Imports) Reserve(names ...string) {
	for _, n := range names {
		im.reserved[n] = true
	}
}

// Name is the name under which the file imports path.
func (im *Imports) Name(path string) string {
	if n, ok := im.byPath[path]; ok {
		return n
	}
	base := source.BaseName(path)
	name := base
	for i := 2; im.reserved[name]; i++ {
		name = fmt.Sprintf("%s%d", base, i)
	}
	im.reserved[name] = true
	im.byPath[path] = name
	return name
}

// Block is the file's import declaration.
func (im *Imports) Block() string {
	if len(im.byPath) == 0 {
		return ""
	}
	paths := make([]string, 0, len(im.byPath))
	for p := range im.byPath {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	var b strings.Builder
	b.WriteString("import (\n")
	for _, p := range paths {
		fmt.Fprintf(&b, "\t%s %q\n", im.byPath[p], p)
	}
	b.WriteString(")\n\n")
	return b.String()
}
