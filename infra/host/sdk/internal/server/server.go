// Package server serves an app's endpoints over HTTP and between its services.
//
// It keeps Encore's rules where they can be relied on, and is stricter where Encore's are loose:
//
//   - A body that is not one well-formed JSON object of the expected fields is refused with the
//     field named (Encore runs the handler with what it could read).
//   - Bodies, headers, reads, writes and handlers have limits (Encore has none).
//   - The text of an error that is not an *errs.Error, and of a panic, never leaves (Encore sends it).
//   - A wrong method is 405 with Allow (Encore: 404).
//   - JSON is always compact (Encore indents outside production).
//   - An error that middleware returns for a raw endpoint which has not written anything is
//     written (Encore answers 200 with an empty body).
//   - Before the services' inits have ended, endpoints answer 503 (Encore calls them).
//
// One request goes: route → auth handler → access → decode → Validate → global middleware →
// service middleware → endpoint.
package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"encore.dev/internal/applog"
	"encore.dev/internal/registry"
	"encore.dev/internal/scope"
)

// Config is what a server is made from.
type Config struct {
	Registry   *registry.Registry
	Log        zerolog.Logger
	Limits     Limits
	Registerer prometheus.Registerer // nil: nothing is measured
	Gatherer   prometheus.Gatherer   // nil: no /metrics of the host's own

	// CredentialedOrigins adds to those of encore.app.
	CredentialedOrigins []string
	// HSTS has browsers come over TLS only from then on.
	HSTS bool
	// SkipGlobal leaves global middleware out, as Encore does in tests.
	SkipGlobal bool
	// OpsOnly serves nothing of the app but the paths that operators ask.
	OpsOnly bool
	// Health reports what is wrong; nil is always healthy.
	Health HealthFunc
}

// Server serves one app.
type Server struct {
	registry   *registry.Registry
	log        zerolog.Logger
	limits     Limits
	hsts       bool
	skipGlobal bool
	health     HealthFunc
	metrics    *metrics
	auth       *authenticator // nil if the app has no auth handler
	cors       *cors
	routes     router[*target]
	targets    map[string]map[string]*target // by service and endpoint
	unrouted   *observers

	ready    atomic.Bool
	stopping atomic.Bool
}

// opsPaths are served by every process, whatever its roles.
var opsPaths = []string{"/healthz", "/livez", "/readyz", "/metrics"}

// New plans everything about the app's endpoints that can be worked out beforehand.
func New(cfg Config) (*Server, error) {
	s := &Server{
		registry: cfg.Registry, log: cfg.Log, limits: cfg.Limits.orDefaults(),
		skipGlobal: cfg.SkipGlobal, hsts: cfg.HSTS, health: cfg.Health,
		targets: map[string]map[string]*target{},
	}
	var err error
	if s.metrics, err = newMetrics(cfg.Registerer); err != nil {
		return nil, err
	}
	s.unrouted = s.metrics.of("", "")
	if h := cfg.Registry.AuthHandler(); h != nil {
		if s.auth, err = newAuthenticator(h); err != nil {
			return nil, err
		}
	}
	endpoints := cfg.Registry.Endpoints()
	if s.cors, err = newCORS(cfg.Registry.App().CORS, cfg.CredentialedOrigins, endpoints, s.auth); err != nil {
		return nil, err
	}
	for _, e := range endpoints {
		t, err := s.newTarget(e)
		if err != nil {
			return nil, err
		}
		if s.targets[e.Service] == nil {
			s.targets[e.Service] = map[string]*target{}
		}
		s.targets[e.Service][e.Name] = t
		if e.Access == registry.Private || (cfg.OpsOnly && !slices.Contains(opsPaths, e.Path)) {
			continue
		}
		if err := s.routes.add(e.Methods, e.Path, t); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", e.Service, e.Name, err)
		}
	}
	return s, s.addOwn(cfg.Gatherer)
}

// addOwn adds what the host serves itself. The app's own /metrics goes before the host's.
func (s *Server) addOwn(g prometheus.Gatherer) error {
	get := []string{http.MethodGet}
	err := s.routes.add(get, "/__encore/healthz", &target{observe: s.unrouted, own: http.HandlerFunc(s.serveHealth)})
	if err != nil || g == nil {
		return err
	}
	var m match[*target]
	if s.routes.find(http.MethodGet, "/metrics", &m); m.found {
		return nil
	}
	return s.routes.add(get, "/metrics", &target{observe: s.unrouted, own: promhttp.HandlerFor(g, promhttp.HandlerOpts{})})
}

// SetReady says that the services' inits have ended.
func (s *Server) SetReady() { s.ready.Store(true) }

// SetStopping says that the process is about to stop; it is unhealthy from then on.
func (s *Server) SetStopping() { s.stopping.Store(true) }

// Header values that every answer has until its endpoint says otherwise, shared: an append to them
// copies. Nothing keeps the answer, nothing runs in it, nothing frames it.
var (
	nosniff    = []string{"nosniff"}
	noStore    = []string{"no-store"}
	csp        = []string{"default-src 'none'; frame-ancestors 'none'"}
	noReferrer = []string{"no-referrer"}
	typeJSON   = []string{"application/json"}
	closing    = []string{"close"}

	// A browser remembers it for the host name, whatever the port: hence only where cfg.HSTS is.
	hsts = []string{"max-age=63072000; includeSubDomains"}
)

func (s *Server) guard(h http.Header) {
	h["X-Content-Type-Options"] = nosniff
	h["Cache-Control"] = noStore
	h["Content-Security-Policy"] = csp
	h["Referrer-Policy"] = noReferrer
	if s.hsts {
		h["Strict-Transport-Security"] = hsts
	}
}

// ServeHTTP serves one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{started: time.Now()}
	in := readHeader(r.Header)
	c.identify(in)
	r.Header["X-Request-Id"] = c.idValue[:] // the app names the request as the answer does
	addHop(r)
	h := w.Header()
	s.guard(h)
	h["X-Request-Id"] = c.idValue[:]
	if c.trace.ExtCorrelationID != "" {
		h["X-Correlation-Id"] = []string{c.trace.ExtCorrelationID}
	}
	if s.stopping.Load() {
		h["Connection"] = closing // or a client may send its next request into the end of this process
	}
	observe := s.unrouted
	status := 0
	defer func() {
		observe.done(status, time.Since(c.started))
		if !c.reached && status >= http.StatusBadRequest {
			s.logRefused(c, r, status)
		}
	}()
	if in.origin != "" && s.cors.serve(w, r, in.origin) {
		status = http.StatusNoContent
		return
	}

	var m match[*target]
	s.routes.find(r.Method, r.URL.EscapedPath(), &m)
	if !m.found {
		status = s.serveUnrouted(w, r, c, m.allow)
		return
	}
	t, values := m.to, m.values[:m.n]
	c.to, observe = t, t.observe
	switch {
	case t.own != nil:
		t.own.ServeHTTP(w, r)
		status, c.reached = http.StatusOK, true
	case !s.ready.Load():
		h["Retry-After"] = []string{"1"}
		status = s.writeError(w, c, errStarting, 0)
	case t.Raw:
		status = s.serveRaw(w, r, c, t, values)
	default:
		status = s.serveTyped(w, r, c, t, values)
	}
}

// serveUnrouted answers what no endpoint takes.
func (s *Server) serveUnrouted(w http.ResponseWriter, r *http.Request, c *call, allow []string) int {
	if len(allow) > 0 {
		w.Header()["Allow"] = []string{strings.Join(allow, ", ")}
		return s.writeError(w, c, errMethod, 0)
	}
	if path, ok := otherSlash(r.URL.EscapedPath()); ok {
		var m match[*target]
		if s.routes.find(r.Method, path, &m); m.found && !m.fallback {
			if r.URL.RawQuery != "" {
				path += "?" + r.URL.RawQuery
			}
			w.Header()["Location"] = []string{path}
			w.WriteHeader(redirectStatus(r.Method))
			return redirectStatus(r.Method)
		}
	}
	return s.writeError(w, c, errNotFound, 0)
}

// logRefused writes the line of a request that never reached the app's middleware. A path that nobody
// knows may hold anything, so it is not repeated.
func (s *Server) logRefused(c *call, r *http.Request, status int) {
	e := s.log.Info()
	if e == nil {
		return
	}
	e = applog.InScope(e, &c.scope).Str("method", r.Method).Int("status", status).
		Float64("duration_ms", float64(time.Since(c.started).Microseconds())/1000)
	if t := c.to; t != nil && t.own == nil {
		e = e.Str("route", t.Service+"."+t.Name)
	}
	outcome := "failed"
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		outcome = "denied"
	}
	e.Str("outcome", outcome).Msg("request refused")
}

// serveTyped serves an endpoint that has request and response structs.
func (s *Server) serveTyped(w http.ResponseWriter, r *http.Request, c *call, t *target, values []string) (status int) {
	c.describe(t, r, values)
	c.deadline.start(r.Context(), c.started.Add(s.limits.Handler))
	defer c.deadline.end()
	ctx, before := scope.Enter(&c.deadline, &c.scope)
	defer before.Leave()
	defer func() {
		if p := recover(); p != nil { // in the auth handler, a decoder or Validate
			s.logPanic(ctx, p)
			status = s.writeError(w, c, errInternal, 0)
		}
	}()

	if err := s.authenticate(ctx, r, c, t); err != nil {
		return s.writeFailure(ctx, w, c, err, 0)
	}
	path, err := t.parsePath(values)
	if err != nil {
		return s.writeFailure(ctx, w, c, err, 0)
	}
	var req any
	if d := t.decoderFor(r.Method); d != nil {
		if req, err = d.decode(w, r, s.limits.Body); err == nil {
			err = d.check(req)
		}
		if err != nil {
			return s.writeFailure(ctx, w, c, err, 0)
		}
	}
	c.reached = true
	data := c.withPayload(req)
	return s.writeResponse(ctx, w, c, t, s.callChain(ctx, t, data, path, req))
}
