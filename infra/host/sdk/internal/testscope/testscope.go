// Package testscope tells which test the running code works for, so that what
// a test publishes or overrides stays its own while other tests run beside it.
package testscope

import (
	"runtime"
	"strings"
)

// Current returns the name of the top-level test function on this goroutine's
// stack, "" if there is none: on goroutines that a test started, and outside tests.
func Current() string {
	pcs := make([]uintptr, 128)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for below := ""; ; {
		frame, more := frames.Next()
		if frame.Function == "testing.tRunner" {
			return root(below)
		}
		below = frame.Function
		if !more {
			return ""
		}
	}
}

// root turns a subtest's symbol, pkg.TestX.func1, into that of its test.
func root(symbol string) string {
	slash := strings.LastIndexByte(symbol, '/') + 1
	parts := strings.SplitN(symbol[slash:], ".", 3)
	if len(parts) < 2 {
		return symbol
	}
	return symbol[:slash] + parts[0] + "." + parts[1]
}
