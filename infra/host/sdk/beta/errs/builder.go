package errs

import "fmt"

// Builder makes an [Error] piece by piece. The zero value is ready.
type Builder struct {
	code    ErrCode
	codeSet bool
	msg     string
	details ErrDetails
	hasDet  bool
	meta    []interface{}
	cause   error
}

// B starts a new error.
func B() *Builder { return &Builder{} }

// Code sets the code.
func (b *Builder) Code(c ErrCode) *Builder {
	b.code, b.codeSet = c, true
	return b
}

// Msg sets the message.
func (b *Builder) Msg(msg string) *Builder {
	b.msg = msg
	return b
}

// Msgf sets the message from a format.
func (b *Builder) Msgf(format string, args ...interface{}) *Builder {
	return b.Msg(fmt.Sprintf(format, args...))
}

// Meta adds key-value pairs for the app's own use.
func (b *Builder) Meta(metaPairs ...interface{}) *Builder {
	b.meta = append(b.meta, metaPairs...)
	return b
}

// Details sets what the client is told beside the message.
func (b *Builder) Details(det ErrDetails) *Builder {
	b.details, b.hasDet = det, true
	return b
}

// Cause sets what lies underneath.
func (b *Builder) Cause(err error) *Builder {
	b.cause = err
	return b
}

// Err gives the error; never nil. What was not set is taken from a cause that is an *Error.
func (b *Builder) Err() error {
	e := &Error{Code: b.code, Message: b.msg, Details: b.details, underlying: b.cause}
	if inner := find(b.cause); b.cause != nil && inner != nil {
		if !b.codeSet {
			e.Code = inner.Code
		}
		if !b.hasDet {
			e.Details = inner.Details
		}
		e.Meta = inner.Meta
	}
	if e.Code == OK {
		e.Code = Unknown
	}
	if e.Message == "" && b.cause == nil {
		e.Message = "unknown error"
	}
	e.Meta = merge(e.Meta, b.meta)
	return e
}
