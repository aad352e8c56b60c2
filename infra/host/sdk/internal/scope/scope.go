// Package scope carries what the running code works for: an API call, a message or a cron tick.
//
// Encore's auth.UserID, encore.CurrentRequest and rlog take no context, so the scope travels
// twice: on the context, and on the goroutine through its profiler labels, which child
// goroutines inherit. One label does both jobs. Its value is a string whose bytes are the
// first field of the Scope, so the string keeps the Scope alive and its address finds it;
// what a CPU profile shows for it is the endpoint's name.
package scope

import (
	"context"
	"runtime/pprof"
	"sync/atomic"
	"unsafe"
)

const labelKey = "encore.dev/endpoint"

// tagSize bounds how much of the endpoint's name a profile shows.
const tagSize = 47

// Scope is one unit of work. Its exported fields are written before [Run] and only read
// afterwards; what is learnt later is set with [Scope.SetCaller] and [Scope.SetRequest], which
// goroutines that already run may watch.
type Scope struct {
	// tag and its length stay the first fields: the label's value points here.
	tag    [tagSize]byte
	tagLen uint8

	Req       any // *encore.Request (not typed, because package encore imports this one)
	UID       string
	AuthData  any
	Service   string
	Endpoint  string
	RequestID string
	TraceID   string
	SpanID    string

	caller  atomic.Pointer[Caller]
	request atomic.Pointer[any]
}

// Caller gives who the work is done for.
func (s *Scope) Caller() Caller {
	if c := s.caller.Load(); c != nil {
		return *c
	}
	return Caller{UID: s.UID, Data: s.AuthData}
}

// SetCaller replaces UID and AuthData.
func (s *Scope) SetCaller(c *Caller) { s.caller.Store(c) }

// Request gives the *encore.Request, or nil.
func (s *Scope) Request() any {
	if r := s.request.Load(); r != nil {
		return *r
	}
	return s.Req
}

// SetRequest replaces Req.
func (s *Scope) SetRequest(r *any) { s.request.Store(r) }

// Run calls fn with s on the context and on the goroutine.
func Run(ctx context.Context, s *Scope, fn func(ctx context.Context)) {
	before := getProfLabel()
	defer setProfLabel(before)
	fn(Attach(ctx, s))
}

// Enter is [Run] for callers that cannot use a closure. [Mark.Leave] must be called on the same goroutine.
func Enter(ctx context.Context, s *Scope) (inner context.Context, before Mark) {
	before = Mark{getProfLabel()}
	return Attach(ctx, s), before
}

// Mark is what the goroutine carried before [Enter].
type Mark struct{ labels unsafe.Pointer }

// Leave gives the goroutine back what it carried.
func (m Mark) Leave() { setProfLabel(m.labels) }

// Attach puts s on the goroutine for good, and on the context it returns.
func Attach(ctx context.Context, s *Scope) context.Context {
	if s.tagLen == 0 {
		s.setTag()
	}
	ctx = pprof.WithLabels(ctx, pprof.Labels(labelKey, unsafe.String(&s.tag[0], s.tagLen)))
	pprof.SetGoroutineLabels(ctx)
	return ctx
}

func (s *Scope) setTag() {
	n := copy(s.tag[:], s.Service)
	if s.Endpoint != "" {
		n += copy(s.tag[n:], ".")
		n += copy(s.tag[n:], s.Endpoint)
	}
	if n == 0 { // the pointer of an empty string says nothing
		n = copy(s.tag[:], "-")
	}
	s.tagLen = uint8(n)
}

// From gives the scope of ctx, or nil.
func From(ctx context.Context) *Scope {
	v, ok := pprof.Label(ctx, labelKey)
	if !ok {
		return nil
	}
	return fromValue(v)
}

// Current gives the scope of this goroutine, or nil.
func Current() *Scope {
	m := (*labelMap)(getProfLabel())
	if m == nil {
		return nil
	}
	for i := range m.list {
		if m.list[i].key == labelKey {
			return fromValue(m.list[i].value)
		}
	}
	return nil
}

// Either gives the scope of ctx, or else that of the goroutine.
func Either(ctx context.Context) *Scope {
	if s := From(ctx); s != nil {
		return s
	}
	return Current()
}

func fromValue(v string) *Scope {
	return (*Scope)(unsafe.Pointer(unsafe.StringData(v)))
}
