package scope

import (
	"context"
	"runtime/pprof"
	"unsafe"
)

// labelMap and label mirror what runtime/pprof hangs on a goroutine. There is no public way to
// read it back without a context; the two functions below are kept reachable for this very use
// (go.dev/issue/67401). init proves the layout, so a Go release that changes it fails loudly.
type labelMap struct{ list []label }

type label struct{ key, value string }

//go:linkname getProfLabel runtime/pprof.runtime_getProfLabel
func getProfLabel() unsafe.Pointer

//go:linkname setProfLabel runtime/pprof.runtime_setProfLabel
func setProfLabel(labels unsafe.Pointer)

func init() {
	if unsafe.Sizeof(labelMap{}) != unsafe.Sizeof(pprof.LabelSet{}) {
		panic("scope: this Go release lays out profiler labels in another way")
	}
	probe := &Scope{Service: "probe"}
	Run(context.Background(), probe, func(ctx context.Context) {
		if Current() != probe || From(ctx) != probe {
			panic("scope: this Go release lays out profiler labels in another way")
		}
	})
}
