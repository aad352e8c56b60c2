// Package middleware is what code that surrounds endpoints is written against.
package middleware

import (
	"context"
	"net/http"

	encore "encore.dev"
)

// Signature is the form of a middleware. It is called around the endpoint, or around the next
// middleware, and calls next at most once.
type Signature func(req Request, next Next) Response

// Next runs the rest of the chain.
type Next func(Request) Response

// Request is the call that is being made.
type Request struct {
	ctx  context.Context
	data *encore.Request
}

// NewRequest makes a request, for tests of middleware.
func NewRequest(ctx context.Context, data *encore.Request) Request {
	return Request{ctx: ctx, data: data}
}

// Context is the call's context.
func (r *Request) Context() context.Context { return r.ctx }

// WithContext gives the same request with another context.
func (r *Request) WithContext(ctx context.Context) Request {
	return Request{ctx: ctx, data: r.data}
}

// Data describes the call.
func (r *Request) Data() *encore.Request { return r.data }

// Response is the endpoint's answer.
type Response struct {
	// Payload may be replaced by a value of the same type. It is nil if Err is set, and for raw endpoints.
	Payload any

	// Err is answered instead of the payload. From a raw endpoint's middleware it is answered only
	// if nothing was written yet.
	Err error

	// HTTPStatus replaces the status that the answer would have, unless it is 0. Raw endpoints ignore it.
	HTTPStatus int

	header http.Header
}

// Header gives the headers that are sent with the answer. For a raw endpoint that has written
// its answer they come too late.
func (r *Response) Header() http.Header {
	if r.header == nil {
		r.header = make(http.Header)
	}
	return r.header
}
