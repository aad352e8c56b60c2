// Package diag collects what is wrong with an app, each finding with its place
// and what to do about it.
package diag

import (
	"fmt"
	"go/token"
	"path/filepath"
	"sort"
	"strings"
)

// Finding is one thing that Encore or the stock-Go host would refuse.
type Finding struct {
	Pos     token.Position // Filename is relative to the app root
	Message string         // what is wrong, and after a semicolon what to do
}

func (f Finding) String() string {
	switch {
	case f.Pos.Filename == "":
		return f.Message
	case f.Pos.Line == 0:
		return f.Pos.Filename + ": " + f.Message
	default:
		return fmt.Sprintf("%s:%d:%d: %s", f.Pos.Filename, f.Pos.Line, f.Pos.Column, f.Message)
	}
}

// List gathers findings while an app is read. The zero value is not usable; see [New].
type List struct {
	root     string
	fset     *token.FileSet
	findings []Finding
	seen     map[string]bool
}

// New returns an empty list whose positions are shown relative to root.
func New(root string, fset *token.FileSet) *List {
	return &List{root: root, fset: fset, seen: map[string]bool{}}
}

// Addf records a finding at pos.
func (l *List) Addf(pos token.Pos, format string, args ...any) {
	l.At(l.fset.Position(pos), format, args...)
}

// At records a finding at an already resolved position.
func (l *List) At(pos token.Position, format string, args ...any) {
	if rel, err := filepath.Rel(l.root, pos.Filename); err == nil && pos.Filename != "" && !strings.HasPrefix(rel, "..") {
		pos.Filename = filepath.ToSlash(rel)
	}
	f := Finding{Pos: pos, Message: fmt.Sprintf(format, args...)}
	if key := f.String(); !l.seen[key] {
		l.seen[key] = true
		l.findings = append(l.findings, f)
	}
}

// File records a finding about a whole file or directory.
func (l *List) File(path, format string, args ...any) {
	l.At(token.Position{Filename: path}, format, args...)
}

// Position resolves pos, with the file name relative to the root.
func (l *List) Position(pos token.Pos) token.Position {
	p := l.fset.Position(pos)
	if rel, err := filepath.Rel(l.root, p.Filename); err == nil {
		p.Filename = filepath.ToSlash(rel)
	}
	return p
}

// Err returns the findings in file order as one [Error], or nil if there are none.
func (l *List) Err() error {
	if len(l.findings) == 0 {
		return nil
	}
	sort.SliceStable(l.findings, func(i, j int) bool {
		a, b := l.findings[i].Pos, l.findings[j].Pos
		if a.Filename != b.Filename {
			return a.Filename < b.Filename
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	return &Error{Findings: l.findings}
}

// Error is every finding about an app.
type Error struct{ Findings []Finding }

func (e *Error) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}
