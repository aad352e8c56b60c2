package server

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"

	encore "encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/internal/applog"
	"encore.dev/internal/scope"
	"encore.dev/middleware"
)

// handler is the end of a middleware chain.
type handler func(ctx context.Context) middleware.Response

// runChain runs the target's middleware around end.
func (s *Server) runChain(ctx context.Context, t *target, data *encore.Request, end handler) middleware.Response {
	return s.runFrom(0, t, middleware.NewRequest(ctx, data), end)
}

func (s *Server) runFrom(i int, t *target, req middleware.Request, end handler) (resp middleware.Response) {
	defer func() {
		if r := recover(); r != nil {
			s.logPanic(req.Context(), r)
			resp = middleware.Response{Err: panicked()}
		}
	}()
	if i == len(t.chain) {
		return end(req.Context())
	}
	called := false
	resp = t.chain[i].Func(req, func(inner middleware.Request) middleware.Response {
		if called {
			return middleware.Response{Err: s.fault(inner.Context(), fmt.Errorf("middleware %s called next twice", t.chain[i].Name))}
		}
		called = true
		return s.runFrom(i+1, t, inner, end)
	})
	return resp
}

// callAlone calls a typed endpoint that no middleware surrounds.
func (s *Server) callAlone(ctx context.Context, t *target, path []any, req any) (resp middleware.Response) {
	defer func() {
		if r := recover(); r != nil {
			s.logPanic(ctx, r)
			resp = middleware.Response{Err: errInternal}
		}
	}()
	return t.callTyped(ctx, path, req)
}

// callTyped is the end of a typed endpoint's chain.
func (t *target) callTyped(ctx context.Context, path []any, req any) middleware.Response {
	payload, err := t.Call(ctx, path, req)
	if err != nil {
		return middleware.Response{Err: err}
	}
	return middleware.Response{Payload: payload}
}

// fault logs an error of the app's or host's code and gives what the client learns of it.
func (s *Server) fault(ctx context.Context, err error) error {
	applog.InScope(s.log.Error(), scope.Either(ctx)).Err(err).Msg("request failed")
	return errInternal
}

// panicked is errInternal that knows, for the middleware outside, where the panic came from. It is made
// where the panic is recovered.
func panicked() error {
	pcs := make([]uintptr, 64)
	e := *errInternal
	e.Meta = errs.Metadata{"panic": pcs[:runtime.Callers(3, pcs)]}
	return &e
}

func (s *Server) logPanic(ctx context.Context, r any) {
	if r == http.ErrAbortHandler {
		panic(r) // the handler wants the connection cut
	}
	applog.InScope(s.log.Error(), scope.Either(ctx)).
		Str("panic", fmt.Sprint(r)).Bytes("stack", debug.Stack()).Msg("panic")
}
