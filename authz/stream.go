package authz

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/request"
	"encore.dev/beta/errs"
	"encore.dev/rlog"
)

var errStreamUndecided = errors.New("authz: a stream began without an authorization decision")

// Stream answers a raw endpoint, whose answer no middleware can hold back: nothing that fn writes
// leaves before a decision was made for this request, nor after one against the caller. An error of
// fn is sent like any other endpoint's; once the answer has begun, the connection is broken instead,
// so that nobody takes half an answer for a whole one.
func Stream(w http.ResponseWriter, r *http.Request, fn func(ctx context.Context, w http.ResponseWriter) error) {
	ctx := r.Context()
	out := &stream{ResponseWriter: w, ctx: ctx}
	err := request.Refusal(ctx)
	if err == nil {
		err = fn(ctx, out)
	}
	if err == nil {
		err = out.undecided()
	}
	if err == nil {
		return
	}
	cause := fault.Cause(err)
	if cause == nil && fault.As(err) == nil {
		cause = err
	}
	info := request.From(ctx)
	if cause != nil && ctx.Err() == nil {
		rlog.Error("stream", "request_id", info.ID, "route", info.Route, "err", cause)
	}
	if out.begun {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Cache-Control", "no-store")
	// No middleware can, as it does for the other endpoints.
	if seconds := fault.DetailsOf(err).RetryAfter; seconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	errs.HTTPError(w, fault.Finish(err, info.ID))
}

// stream lets the first byte out only after a decision.
type stream struct {
	http.ResponseWriter
	ctx   context.Context
	begun bool
}

func (s *stream) undecided() error {
	t, ok := s.ctx.Value(trailKey{}).(*Trail)
	if !ok {
		return fault.Internal(errStreamUndecided)
	}
	if _, denied := t.Denied(); denied {
		return fault.Internal(errStreamUndecided)
	}
	if _, decided := t.Last(); !decided {
		return fault.Internal(errStreamUndecided)
	}
	return nil
}

func (s *stream) WriteHeader(status int) {
	if s.begun || s.undecided() == nil {
		s.begin()
		s.ResponseWriter.WriteHeader(status)
	}
}

func (s *stream) Write(p []byte) (int, error) {
	if !s.begun {
		if err := s.undecided(); err != nil {
			return 0, err
		}
		s.begin()
	}
	return s.ResponseWriter.Write(p)
}

func (s *stream) begin() {
	if !s.begun {
		s.begun = true
		s.Header().Set("Cache-Control", "no-store")
		s.Header().Set("X-Content-Type-Options", "nosniff")
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }
