package server

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strconv"

	encore "encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/internal/applog"
	"encore.dev/internal/scope"
	"encore.dev/middleware"
)

// bufferedByServer is the size up to which net/http itself knows the length of an answer.
const bufferedByServer = 2048

// callChain runs a typed endpoint with its middleware.
func (s *Server) callChain(ctx context.Context, t *target, data *encore.Request, path []any, req any) middleware.Response {
	if len(t.chain) == 0 {
		return s.callAlone(ctx, t, path, req)
	}
	resp := s.runChain(ctx, t, data, func(ctx context.Context) middleware.Response { return t.callTyped(ctx, path, req) })
	if resp.Err == nil && resp.Payload != nil && reflect.TypeOf(resp.Payload) != t.desc.ResponseType {
		resp.Err = s.fault(ctx, fmt.Errorf("middleware made a %T of the payload", resp.Payload))
	}
	return resp
}

// writeResponse answers with what a typed endpoint and its middleware gave.
func (s *Server) writeResponse(ctx context.Context, w http.ResponseWriter, c *call, t *target, resp middleware.Response) int {
	h := w.Header()
	if len(t.chain) > 0 {
		for name, values := range resp.Header() {
			h[name] = values
		}
	}
	if resp.Err != nil {
		return s.writeFailure(ctx, w, c, resp.Err, resp.HTTPStatus)
	}
	if t.encoder == nil { // 200 and nothing else, whatever middleware says
		w.WriteHeader(http.StatusOK)
		return http.StatusOK
	}
	status := http.StatusOK
	var body any
	if resp.Payload != nil {
		if own := t.encoder.outside(resp.Payload, h); own != 0 {
			status = own
		}
		body = t.encoder.body(resp.Payload)
	}
	if resp.HTTPStatus != 0 {
		status = resp.HTTPStatus
	}
	if !isFinal(status) {
		return s.writeFailure(ctx, w, c, s.fault(ctx, fmt.Errorf("%d is not a status of an answer", status)), 0)
	}
	if status == http.StatusNoContent || status == http.StatusNotModified {
		w.WriteHeader(status)
		return status
	}
	buf := getJSON()
	defer putJSON(buf)
	if err := buf.encode(body); err != nil {
		return s.writeFailure(ctx, w, c, s.fault(ctx, fmt.Errorf("encode the response: %w", err)), 0)
	}
	return writeJSON(w, status, buf)
}

func isFinal(status int) bool { return status >= 200 && status <= 599 }

func writeJSON(w http.ResponseWriter, status int, buf *jsonBuffer) int {
	h := w.Header()
	h["Content-Type"] = typeJSON
	if buf.Len() > bufferedByServer {
		h["Content-Length"] = []string{strconv.Itoa(buf.Len())}
	}
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // nobody is left to tell
	return status
}

// writeFailure answers with an error, which may be of any kind.
func (s *Server) writeFailure(ctx context.Context, w http.ResponseWriter, c *call, err error, status int) int {
	e, told := public(ctx, err)
	if !told {
		applog.InScope(s.log.Error(), scope.Either(ctx)).Err(err).Msg("request failed")
	}
	return s.writeError(w, c, e, status)
}

// writeError answers with an error that a client may see. A status other than 0 goes before the error's.
func (s *Server) writeError(w http.ResponseWriter, c *call, e *errs.Error, status int) int {
	e = withRequestID(e, c.idValue[0])
	if !isFinal(status) {
		status = statusOf(e)
	}
	h := w.Header()
	if status == http.StatusUnauthorized && s.auth != nil && s.auth.challenge && h["Www-Authenticate"] == nil {
		h["Www-Authenticate"] = []string{"Bearer"}
	}
	if p, ok := e.Details.(patient); ok && p.RetryIn() > 0 && h["Retry-After"] == nil {
		h["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(p.RetryIn().Seconds())))}
	}
	buf := getJSON()
	defer putJSON(buf)
	if buf.encode(e) != nil { // details that cannot be encoded
		buf.Reset()
		_ = buf.encode(&errs.Error{Code: e.Code, Message: e.Message})
	}
	return writeJSON(w, status, buf)
}
