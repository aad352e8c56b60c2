package server

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	encore "encore.dev"
	"encore.dev/internal/scope"
)

// call is one request that is being served, in one piece of memory. It is not pooled: goroutines
// that outlive the request may still read its scope.
type call struct {
	scope    scope.Scope
	deadline deadlineContext
	caller   scope.Caller
	trace    encore.TraceData

	// early describes the request before it is decoded.
	early encore.Request

	to      *target // nil if there is none
	idValue [1]string
	started time.Time
	reached bool // the request got as far as the middleware, which logs it
}

const maxID = 64

// usableID says whether a caller's id is one that may be repeated and logged.
func usableID(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '~', c == '-':
		default:
			return false
		}
	}
	return true
}

// incoming is what the host itself reads of a request's header.
type incoming struct{ requestID, correlationID, traceparent, origin string }

// readHeader finds it in one pass, and drops what only Encore's own parts may send.
func readHeader(h http.Header) (in incoming) {
	for name, values := range h {
		if len(values) == 0 {
			continue
		}
		switch name {
		case "X-Request-Id":
			in.requestID = values[0]
		case "X-Correlation-Id":
			in.correlationID = values[0]
		case "Traceparent":
			in.traceparent = values[0]
		case "Origin":
			in.origin = values[0]
		default:
			if strings.HasPrefix(name, "X-Encore-") {
				delete(h, name)
			}
		}
	}
	return in
}

// identify gives the call its ids. They need to be unlikely to meet again, not secret.
func (c *call) identify(in incoming) {
	var raw [24]byte
	binary.NativeEndian.PutUint64(raw[0:], rand.Uint64())
	binary.NativeEndian.PutUint64(raw[8:], rand.Uint64())
	binary.NativeEndian.PutUint64(raw[16:], rand.Uint64())
	ids := hex.EncodeToString(raw[:])
	own := ids[:32]
	c.trace.TraceID, c.trace.SpanID = own, ids[32:]
	if trace, span, recorded, ok := parseTraceparent(in.traceparent); ok {
		c.trace.TraceID, c.trace.ParentTraceID, c.trace.ParentSpanID, c.trace.Recorded = trace, trace, span, recorded
	}
	if usableID(in.correlationID) {
		c.trace.ExtCorrelationID = in.correlationID
	}
	c.idValue[0] = own
	if usableID(in.requestID) {
		c.idValue[0] = in.requestID
	}
	c.scope.RequestID, c.scope.TraceID, c.scope.SpanID = c.idValue[0], c.trace.TraceID, c.trace.SpanID
}

// addHop appends the peer to X-Forwarded-For, as every proxy on the way has done with its own. What
// the app reads there last is what this listener saw; everything before it is somebody's word.
func addHop(r *http.Request) {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return // not from a network
	}
	const name = "X-Forwarded-For"
	if earlier := r.Header[name]; len(earlier) > 0 {
		peer = strings.Join(earlier, ", ") + ", " + peer
	}
	r.Header[name] = []string{peer}
}

// first gives the first value of a header whose name is in canonical form.
func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// parseTraceparent reads the W3C trace context header.
func parseTraceparent(v string) (trace, span string, recorded, ok bool) {
	if len(v) < 55 || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return "", "", false, false
	}
	version, flags := v[:2], v[53:55]
	trace, span = v[3:35], v[36:52]
	if !lowerHex(version) || version == "ff" || (version == "00" && len(v) != 55) || (len(v) > 55 && v[55] != '-') {
		return "", "", false, false
	}
	if !lowerHex(trace) || !lowerHex(span) || !lowerHex(flags) || zeros(trace) || zeros(span) {
		return "", "", false, false
	}
	last := flags[1]
	return trace, span, (last <= '9' && last&1 == 1) || last == 'b' || last == 'd' || last == 'f', true
}

func lowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}

// describe fills in what is known once the endpoint is found.
func (c *call) describe(t *target, r *http.Request, values []string) {
	c.scope.Service, c.scope.Endpoint = t.Service, t.Name
	var params encore.PathParams
	if len(values) > 0 {
		params = make(encore.PathParams, len(values))
		for i, v := range values {
			params[i] = encore.PathParam{Name: t.Params[i].Name, Value: v}
		}
	}
	c.early = encore.Request{
		Type: encore.APICall, Started: c.started, Trace: &c.trace, API: &t.desc,
		Service: t.Service, Endpoint: t.Name, Path: r.URL.Path,
		PathParams: params, Method: r.Method, Headers: r.Header,
	}
	c.scope.Req = &c.early
}

// withPayload publishes the decoded request. It is a copy, because goroutines of the auth handler
// may still read the early one.
func (c *call) withPayload(payload any) *encore.Request {
	if payload == nil {
		return &c.early
	}
	full := c.early
	full.Payload = payload
	published := any(&full)
	c.scope.SetRequest(&published)
	return &full
}
