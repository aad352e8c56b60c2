package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"encore.dev/internal/scope"
	"encore.dev/middleware"
)

// serveRaw serves an endpoint that writes its answer itself.
func (s *Server) serveRaw(w http.ResponseWriter, r *http.Request, c *call, t *target, values []string) (status int) {
	c.describe(t, r, values)
	deadline := newMovable(r.Context(), s.limits.Handler)
	defer deadline.end()
	ctx, before := scope.Enter(deadline, &c.scope)
	defer before.Leave()
	raw := &rawWriter{ResponseWriter: w, deadline: deadline}
	defer func() {
		if p := recover(); p != nil { // in the auth handler
			s.logPanic(ctx, p)
			status = s.writeError(raw, c, errInternal, 0)
		}
	}()

	if err := s.authenticate(ctx, r, c, t); err != nil {
		return s.writeFailure(ctx, w, c, err, 0)
	}
	if _, err := t.parsePath(values); err != nil {
		return s.writeFailure(ctx, w, c, err, 0)
	}
	if r.ContentLength > s.limits.Body {
		return s.writeError(w, c, errTooLarge, 0)
	}
	r.Body = http.MaxBytesReader(w, r.Body, s.limits.Body)
	c.reached = true
	broken := false // the handler began its answer and panicked
	resp := s.runChain(ctx, t, &c.early, func(ctx context.Context) middleware.Response {
		broken = true
		t.Handle(raw, r.WithContext(ctx))
		broken = false
		return middleware.Response{HTTPStatus: raw.status}
	})
	if raw.status != 0 || raw.hijacked {
		if broken {
			panic(http.ErrAbortHandler) // or the client would take half an answer for a whole one
		}
		return raw.status
	}
	h := w.Header()
	for name, values := range resp.Header() {
		h[name] = values
	}
	if resp.Err != nil {
		return s.writeFailure(ctx, w, c, resp.Err, resp.HTTPStatus)
	}
	return http.StatusOK // net/http writes it
}

// rawWriter notes whether the answer has begun, and lets the handler move its deadline through
// [http.ResponseController].
type rawWriter struct {
	http.ResponseWriter
	deadline *movableContext
	status   int
	hijacked bool
}

// WriteHeader is that of [http.ResponseWriter].
func (w *rawWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *rawWriter) begin() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
}

// Write is that of [http.ResponseWriter].
func (w *rawWriter) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

// ReadFrom lets the server copy files without a buffer.
func (w *rawWriter) ReadFrom(src io.Reader) (int64, error) {
	w.begin()
	return io.Copy(w.ResponseWriter, src)
}

// Flush is that of [http.Flusher].
func (w *rawWriter) Flush() {
	w.begin()
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack is that of [http.Hijacker].
func (w *rawWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked = true
		w.deadline.move(time.Time{})
	}
	return conn, rw, err
}

// SetWriteDeadline moves the deadline of the handler's context as well; the zero time takes it away.
func (w *rawWriter) SetWriteDeadline(t time.Time) error {
	w.deadline.move(t)
	err := http.NewResponseController(w.ResponseWriter).SetWriteDeadline(t)
	if errors.Is(err, http.ErrNotSupported) { // a recorder in a test
		return nil
	}
	return err
}

// Unwrap is for [http.ResponseController].
func (w *rawWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
