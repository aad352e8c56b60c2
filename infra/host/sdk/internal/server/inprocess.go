package server

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	encore "encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/internal/applog"
	"encore.dev/internal/registry"
	"encore.dev/internal/scope"
)

// errAuthData refuses a call whose caller was set by hand in a way the auth handler never would.
var errAuthData = &errs.Error{Code: errs.Internal, Message: "auth.WithContext: the data must be what the auth handler returns"}

// Call makes a call from one service to another within the process. As over a network, both
// sides get their own copy of the payload, errors keep their code, message, details and
// metadata but not their identity, and middleware runs.
func (s *Server) Call(ctx context.Context, service, endpoint string, path []any, req any) (any, error) {
	t := s.targets[service][endpoint]
	if t == nil {
		return nil, &errs.Error{Code: errs.Unimplemented, Message: "there is no endpoint " + service + "." + endpoint}
	}
	if t.Raw {
		return nil, &errs.Error{Code: errs.Unimplemented, Message: "a raw endpoint cannot be called by a service"}
	}
	sc, err := s.calleeScope(ctx, t, path)
	if err != nil {
		return nil, err
	}
	inner, before := scope.Enter(scope.WithoutCaller(ctx), sc)
	defer before.Leave()
	resp, err := s.callCopied(inner, t, sc, path, req)
	if err != nil {
		return nil, s.flatten(inner, err)
	}
	return resp, nil
}

// calleeScope describes the call, on behalf of whom the caller works for.
func (s *Server) calleeScope(ctx context.Context, t *target, path []any) (*scope.Scope, error) {
	sc := &scope.Scope{Service: t.Service, Endpoint: t.Name}
	r := &encore.Request{
		Type: encore.APICall, Started: time.Now(), API: &t.desc, Service: t.Service, Endpoint: t.Name,
		Path: fillPath(t.Path, path), PathParams: pathParams(t.Params, path), Method: t.Methods[0],
	}
	var who scope.Caller
	var ids call
	ids.identify(incoming{})
	r.Trace = &encore.TraceData{TraceID: ids.trace.TraceID, SpanID: ids.trace.SpanID}
	sc.RequestID = ids.trace.TraceID
	if from := scope.Either(ctx); from != nil {
		who = from.Caller()
		if by, ok := from.Request().(*encore.Request); ok {
			r.CronIdempotencyKey = by.CronIdempotencyKey // a cron calls its endpoint this way
		}
		if from.RequestID != "" {
			sc.RequestID = from.RequestID
		}
		if from.TraceID != "" {
			r.Trace.TraceID, r.Trace.ParentTraceID, r.Trace.ParentSpanID = from.TraceID, from.TraceID, from.SpanID
		}
	}
	if by, ok := scope.OverriddenCaller(ctx); ok {
		if !s.acceptable(by) {
			return nil, errAuthData
		}
		who = by
	}
	sc.UID, sc.AuthData = who.UID, who.Data
	sc.TraceID, sc.SpanID = r.Trace.TraceID, r.Trace.SpanID
	sc.Req = r
	return sc, nil
}

// acceptable says whether a caller that was set by hand looks like one of the auth handler's.
func (s *Server) acceptable(c scope.Caller) bool {
	if s.auth == nil || s.auth.Data == nil {
		return c.Data == nil
	}
	if c.Data == nil {
		return c.UID == ""
	}
	v := reflect.ValueOf(c.Data)
	return v.Type() == reflect.PointerTo(s.auth.Data) && (!v.IsNil() || c.UID == "")
}

func (s *Server) callCopied(ctx context.Context, t *target, sc *scope.Scope, path []any, req any) (payload any, err error) {
	data := sc.Req.(*encore.Request)
	if t.Request != nil {
		if req, err = copyVia(req, t.Request); err != nil {
			return nil, err
		}
		if _, ok := req.(validator); ok {
			if err := s.validateGuarded(ctx, req); err != nil {
				return nil, err
			}
		}
		data.Payload = req
	}
	resp := s.callChain(ctx, t, data, path, req)
	if resp.Err != nil || t.Response == nil {
		return nil, resp.Err
	}
	if resp.Payload == nil || reflect.ValueOf(resp.Payload).IsNil() {
		return reflect.Zero(reflect.PointerTo(t.Response)).Interface(), nil
	}
	return copyVia(resp.Payload, t.Response)
}

func (s *Server) validateGuarded(ctx context.Context, req any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.logPanic(ctx, r)
			err = errInternal
		}
	}()
	return validate(req)
}

// copyVia copies a payload through JSON, which is what the wire would do to it.
func copyVia(from any, t reflect.Type) (any, error) {
	to := reflect.New(t)
	if v := reflect.ValueOf(from); !v.IsValid() || (v.Kind() == reflect.Pointer && v.IsNil()) {
		return to.Interface(), nil
	}
	buf := getJSON()
	defer putJSON(buf)
	if err := buf.encode(from); err != nil {
		return nil, fmt.Errorf("encode the payload: %w", err)
	}
	if err := json.Unmarshal(buf.Bytes(), to.Interface()); err != nil {
		return nil, fmt.Errorf("decode the payload: %w", err)
	}
	return to.Interface(), nil
}

// flatten takes an error's identity away. What a client would not learn of it, the calling
// service does not learn either; it is logged here.
func (s *Server) flatten(ctx context.Context, err error) error {
	e, told := public(ctx, err)
	if !told {
		applog.InScope(s.log.Error(), scope.From(ctx)).Err(err).Msg("call failed")
	}
	return &errs.Error{Code: e.Code, Message: e.Message, Details: e.Details, Meta: e.Meta}
}

func pathParams(params []registry.Param, path []any) encore.PathParams {
	out := make(encore.PathParams, 0, len(params))
	for i, p := range params {
		if i < len(path) {
			out = append(out, encore.PathParam{Name: p.Name, Value: fmt.Sprint(path[i])})
		}
	}
	return out
}

// fillPath puts values in the place of a pattern's parameters.
func fillPath(pattern string, path []any) string {
	if len(path) == 0 {
		return pattern
	}
	segs := strings.Split(pattern, "/")
	i := 0
	for n, seg := range segs {
		if seg != "" && strings.ContainsAny(seg[:1], ":*!") && i < len(path) {
			segs[n] = fmt.Sprint(path[i])
			i++
		}
	}
	return strings.Join(segs, "/")
}
