// Package errs gives errors a code, a message for the client and details.
package errs

import (
	"errors"
	"strings"
)

// Error is an error with a code. Code, message and details go to the client; metadata and what
// lies underneath stay inside the app.
type Error struct {
	Code    ErrCode    `json:"code"`
	Message string     `json:"message"`
	Details ErrDetails `json:"details"`
	Meta    Metadata   `json:"-"`

	underlying error
}

// Metadata is what an error carries for the app's own use.
type Metadata map[string]interface{}

// ErrDetails marks types that may be sent to clients as details.
type ErrDetails interface {
	ErrDetails() // need not do anything
}

// Wrap gives err a message. The code, details and metadata of an *Error are kept; any other error
// gets Unknown. Wrap of nil is nil.
func Wrap(err error, msg string, metaPairs ...interface{}) error {
	if err == nil {
		return nil
	}
	e := &Error{Code: Unknown, Message: msg, underlying: err}
	if inner := find(err); inner != nil {
		e.Code, e.Details, e.Meta = inner.Code, inner.Details, inner.Meta
	}
	e.Meta = merge(e.Meta, metaPairs)
	return e
}

// WrapCode is [Wrap] with another code. It is nil if the code is OK.
func WrapCode(err error, code ErrCode, msg string, metaPairs ...interface{}) error {
	if err == nil || code == OK {
		return nil
	}
	e := Wrap(err, msg, metaPairs...).(*Error)
	e.Code = code
	return e
}

// Convert makes err an *Error. It is nil if err is.
func Convert(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok {
		return e
	}
	if inner := find(err); inner != nil {
		return &Error{Code: inner.Code, Message: inner.Message, Details: inner.Details, Meta: inner.Meta, underlying: err}
	}
	return &Error{Code: Unknown, underlying: err}
}

// Code gives the error's code: OK for nil, Unknown for what is not an *Error.
func Code(err error) ErrCode {
	if err == nil {
		return OK
	}
	if e := find(err); e != nil {
		return e.Code
	}
	return Unknown
}

// Meta gives the error's metadata.
func Meta(err error) Metadata {
	if e := find(err); e != nil {
		return e.Meta
	}
	return nil
}

// Details gives the error's details.
func Details(err error) ErrDetails {
	if e := find(err); e != nil {
		return e.Details
	}
	return nil
}

// Error gives code and message.
func (e *Error) Error() string {
	msg := e.ErrorMessage()
	if msg == "" {
		return e.Code.String()
	}
	return e.Code.String() + ": " + msg
}

// ErrorMessage gives the message, joined with those underneath.
func (e *Error) ErrorMessage() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.underlying != nil {
		text := e.underlying.Error()
		if inner, ok := e.underlying.(*Error); ok {
			text = inner.ErrorMessage()
		}
		if b.Len() > 0 && text != "" {
			b.WriteString(": ")
		}
		b.WriteString(text)
	}
	return b.String()
}

// Unwrap gives what lies underneath.
func (e *Error) Unwrap() error { return e.underlying }

func find(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// merge adds key-value pairs to a copy of m. What does not start with a string key is dropped.
func merge(m Metadata, pairs []interface{}) Metadata {
	if len(pairs) < 2 {
		return m
	}
	out := make(Metadata, len(m)+len(pairs)/2)
	for k, v := range m {
		out[k] = v
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if k, ok := pairs[i].(string); ok {
			out[k] = pairs[i+1]
		}
	}
	return out
}
