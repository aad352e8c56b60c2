package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"encore.dev/beta/errs"
)

// Reasons of the host's own errors. They are stable: clients switch on them.
const (
	reasonNotFound        = "not_found"
	reasonMethod          = "method_not_allowed"
	reasonTooLarge        = "payload_too_large"
	reasonInvalid         = "validation_failed"
	reasonUnauthenticated = "unauthenticated"
	reasonInternal        = "internal"
	reasonUnavailable     = "starting"
	reasonDeadline        = "deadline_exceeded"
	reasonCanceled        = "canceled"
)

// problem is the details of the host's own errors.
type problem struct {
	Reason    string         `json:"reason"`
	RequestID string         `json:"request_id,omitempty"`
	Fields    []fieldProblem `json:"fields,omitempty"`

	status int // where the code's own does not fit; 0 elsewhere
}

// ErrDetails marks problem as something that goes to clients.
func (*problem) ErrDetails() {}

// fieldProblem is what is wrong with one field.
type fieldProblem struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func invalid(fields ...fieldProblem) error {
	return &errs.Error{
		Code: errs.InvalidArgument, Message: fields[0].Field + " " + fields[0].Message,
		Details: &problem{Reason: reasonInvalid, Fields: fields},
	}
}

func newProblem(code errs.ErrCode, reason, message string, status int) *errs.Error {
	return &errs.Error{Code: code, Message: message, Details: &problem{Reason: reason, status: status}}
}

// statusOf gives the HTTP status of an error.
func statusOf(e *errs.Error) int {
	if p, ok := e.Details.(*problem); ok && p.status != 0 {
		return p.status
	}
	return e.Code.HTTPStatus()
}

// nameable are details that want to name the request. The app's may be: an error of a payload's
// Validate is made where the app does not know the request yet.
type nameable interface {
	WithRequestID(id string) errs.ErrDetails
}

// WithRequestID names the request in a copy.
func (p *problem) WithRequestID(id string) errs.ErrDetails {
	named := *p
	named.RequestID = id
	return &named
}

// patient are details that know when another try is worth it. Middleware can say so in a header of its
// own; an auth handler has none.
type patient interface {
	RetryIn() time.Duration
}

// withRequestID names the request in the host's own errors, and in the app's that want it.
func withRequestID(e *errs.Error, id string) *errs.Error {
	n, ok := e.Details.(nameable)
	if !ok {
		return e
	}
	return &errs.Error{Code: e.Code, Message: e.Message, Details: n.WithRequestID(id)}
}

var (
	errNotFound = newProblem(errs.NotFound, reasonNotFound, "there is nothing here", 0)
	errMethod   = newProblem(errs.Unimplemented, reasonMethod, "the method is not supported here", http.StatusMethodNotAllowed)
	errTooLarge = newProblem(errs.InvalidArgument, reasonTooLarge, "the request body is too large", http.StatusRequestEntityTooLarge)
	errNoCaller = newProblem(errs.Unauthenticated, reasonUnauthenticated, "credentials are missing or not valid", 0)
	errStarting = newProblem(errs.Unavailable, reasonUnavailable, "the service is starting", 0)
	errInternal = newProblem(errs.Internal, reasonInternal, "an internal error occurred", 0)
	errUnknown  = newProblem(errs.Unknown, reasonInternal, "an internal error occurred", 0)
	errDeadline = newProblem(errs.DeadlineExceeded, reasonDeadline, "the request took too long", 0)
	errCanceled = newProblem(errs.Canceled, reasonCanceled, "the request was given up", 0)
)

// public makes of any error one that a client may see. told is false where the original says
// more than the client learns, and nobody has written it down yet.
func public(ctx context.Context, err error) (e *errs.Error, told bool) {
	if errors.As(err, &e) {
		if e.Code == errs.Unknown && e.Message == "" { // errs.Convert of a plain error
			return errUnknown, false
		}
		return e, true
	}
	if ctx.Err() != nil {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return errDeadline, false
		}
		if errors.Is(err, context.Canceled) {
			return errCanceled, true
		}
	}
	return errUnknown, false
}
