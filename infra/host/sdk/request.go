package encore

import (
	"net/http"
	"reflect"
	"slices"
	"time"

	"encore.dev/internal/scope"
)

// APIDesc describes the endpoint that is called.
type APIDesc struct {
	RequestType  reflect.Type // nil if there is no request payload or the endpoint is raw
	ResponseType reflect.Type // nil if there is no response payload or the endpoint is raw
	Raw          bool
	Tags         Tags
	Exposed      bool // public or auth
	AuthRequired bool // auth
}

// Request says how and why the running code was started.
type Request struct {
	Type    RequestType
	Started time.Time
	Trace   *TraceData

	// Of an API call.
	API        *APIDesc
	Service    string
	Endpoint   string
	Path       string
	PathParams PathParams
	Method     string
	Headers    http.Header // empty for a call from another service

	// Of a message.
	Message *MessageData

	// Payload is the decoded request or message, nil where there is none or the endpoint is raw.
	Payload any

	// CronIdempotencyKey identifies one tick of one cron job, and is "" for anything else.
	CronIdempotencyKey string
}

// TraceData identifies the request across processes.
type TraceData struct {
	TraceID          string
	SpanID           string
	ParentTraceID    string // "" if there is no parent trace
	ParentSpanID     string // "" if there is no parent span
	ExtCorrelationID string // "" if there is no correlation id
	Recorded         bool
}

// MessageData describes a message.
type MessageData struct {
	Service         string // of the subscription
	Topic           string
	Subscription    string
	ID              string // the same on every attempt
	Published       time.Time
	DeliveryAttempt int
}

// RequestType says what started the running code.
type RequestType string

const (
	None          RequestType = "none"
	APICall       RequestType = "api-call"
	PubSubMessage RequestType = "pubsub-message"
)

// Tags are an endpoint's tags, without "tag:".
type Tags []string

// Has reports whether tag is one of them.
func (t Tags) Has(tag string) bool { return slices.Contains(t, tag) }

// PathParams are the path parameters in path order.
type PathParams []PathParam

// PathParam is one path parameter.
type PathParam struct {
	Name  string
	Value string
}

// Get gives the value of the parameter called name, or "".
func (p PathParams) Get(name string) string {
	for _, param := range p {
		if param.Name == name {
			return param.Value
		}
	}
	return ""
}

// CurrentRequest gives the request that the calling goroutine works on. It is never nil, and
// the caller may change it without effect on later calls.
func CurrentRequest() *Request {
	s := scope.Current()
	if s == nil {
		return &Request{Type: None, Started: started}
	}
	r, ok := s.Request().(*Request)
	if !ok || r == nil {
		return &Request{Type: None, Started: started, Service: s.Service}
	}
	clone := *r
	return &clone
}
