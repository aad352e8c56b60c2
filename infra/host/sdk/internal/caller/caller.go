// Package caller finds the package that called into the host, which is how a
// declaration in a package variable says whose it is.
package caller

import (
	"net/url"
	"runtime"
	"strings"
)

// Package returns the import path of the package skip callers above its own
// caller: 0 is whoever called the function that calls Package.
func Package(skip int) string {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if skip < 0 {
			return packageOf(frame.Function)
		}
		skip--
		if !more {
			return ""
		}
	}
}

// packageOf cuts a symbol such as example.com/a/b.(*T).M down to its package.
// Dots in a path's last element are escaped in symbols.
func packageOf(symbol string) string {
	slash := strings.LastIndexByte(symbol, '/') + 1
	dot := strings.IndexByte(symbol[slash:], '.')
	if dot < 0 {
		return symbol
	}
	path := symbol[:slash+dot]
	if plain, err := url.PathUnescape(path); err == nil {
		return plain
	}
	return path
}
