// Package ops is the operators' window: is it alive, is it ready, what does it measure, and what does
// its API look like.
package ops

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	encore "encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/shutdown"
	"encore.dev/storage/sqldb"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"encore.app/authz"
	"encore.app/identity"
	"encore.app/infra/platform/database"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/keyvalue"
	"encore.app/infra/platform/ratelimit"
	"encore.app/infra/platform/request"
	"encore.app/infra/platform/telemetry"
)

var secrets struct {
	RABBITMQ_URL string
	// OPS_TOKEN guards /metrics outside development.
	OPS_TOKEN string
	// DOCS is on or off: whether /docs is served. Unset it is where there are no people's data.
	DOCS string //host:optional
	// What the check of the configuration looks at besides.
	OIDC_ISSUER_URL       string
	STRIPE_API_KEY        string //host:optional
	STRIPE_WEBHOOK_SECRET string //host:optional
}

// Service reports on the parts.
//
//encore:service
type Service struct {
	redis  *keyvalue.Store
	broker *rabbit
	parts  []part

	mu      sync.Mutex
	checked time.Time
	last    map[string]Part // never changed once it is here
}

// Shutdown sends what is left to tell, and ends the connections that are this service's own.
func (s *Service) Shutdown(p shutdown.Progress) error {
	telemetry.Flush(p.ForceShutdown)
	return errors.Join(s.redis.Close(), s.broker.close())
}

func initService() (*Service, error) {
	pool := sqldb.Driver[*pgxpool.Pool](database.DB)
	redis, err := keyvalue.Process()
	_, badLimits := ratelimit.Configured()
	proxies, badProxies := request.Proxies()
	_, badDocs := docsServed(secrets.DOCS, encore.Meta().Environment)
	if err := errors.Join(err, badLimits, badProxies, badDocs, telemetry.Setup()); err != nil {
		return nil, err
	}
	if guarded(encore.Meta().Environment) {
		c := configuration{
			redisEmbedded: redis.Embedded(), issuer: secrets.OIDC_ISSUER_URL, opsToken: secrets.OPS_TOKEN,
			stripeKey: secrets.STRIPE_API_KEY, stripeWebhookKey: secrets.STRIPE_WEBHOOK_SECRET, proxies: proxies,
		}
		if err := c.faults(); err != nil {
			return nil, err
		}
	}
	databasePool.Store(pool)
	broker := &rabbit{url: secrets.RABBITMQ_URL}
	return &Service{redis: redis, broker: broker, parts: []part{
		{name: "postgres", required: true, ping: pool.Ping},
		redisPart(redis),
		rabbitPart(broker),
		{name: "cerbos", required: true, ping: authz.Healthy, degraded: authz.Degraded},
		{name: "oidc", ping: identity.Healthy},
	}}, nil
}

// HealthResponse says that the process is alive.
type HealthResponse struct {
	Status string `json:"status"`
}

// Healthz answers as long as the process can. It asks no other part.
//
//encore:api public method=GET path=/healthz tag:open
func (s *Service) Healthz(context.Context) (*HealthResponse, error) {
	return &HealthResponse{Status: "ok"}, nil
}

// ReadyResponse says which parts work.
type ReadyResponse struct {
	Status     string          `json:"status" schema:"enum=ready|degraded|unavailable"` // ready, degraded, unavailable
	Parts      map[string]Part `json:"parts"`
	HTTPStatus int             `json:"-" encore:"httpstatus"`
}

// Part is the state of one part.
type Part struct {
	Status    string  `json:"status" schema:"enum=ready|degraded|unavailable"` // ready, degraded, unavailable
	Required  bool    `json:"required"`
	LatencyMS float64 `json:"latency_ms"`
	Detail    string  `json:"detail,omitempty"`
}

// readyWithin bounds the slowest part's answer.
const readyWithin = 2 * time.Second

// Readyz asks every part. It is 503 when one is away that no request can do without; with another
// one away the app is degraded and answers.
//
//encore:api public method=GET path=/readyz tag:open
func (s *Service) Readyz(ctx context.Context) (*ReadyResponse, error) {
	parts := s.state(ctx)
	out := &ReadyResponse{Status: "ready", Parts: parts, HTTPStatus: http.StatusOK}
	for _, p := range parts {
		switch {
		case p.Status == partReady:
		case p.Required && p.Status == partUnavailable:
			out.Status, out.HTTPStatus = "unavailable", http.StatusServiceUnavailable
			return out, nil
		default:
			out.Status = "degraded"
		}
	}
	return out, nil
}

// stateFor is how long an answer stands for all who ask: anyone may, and each part is asked each time.
const stateFor = time.Second

func (s *Service) state(ctx context.Context) map[string]Part {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.checked) < stateFor {
		return s.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWithin)
	defer cancel()
	s.last = checkAll(ctx, s.parts)
	s.checked = time.Now()
	return s.last
}

// Metrics are Prometheus', for a scraper that shows OPS_TOKEN as its bearer token; in development
// for anyone. Refuses with unauthenticated.
//
//encore:api public raw method=GET path=/metrics tag:open
func (s *Service) Metrics(w http.ResponseWriter, r *http.Request) {
	if !mayScrape(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		refused := fault.Refused(fault.Unauthenticated, "this needs OPS_TOKEN as bearer token")
		errs.HTTPError(w, fault.Finish(refused, request.From(r.Context()).ID))
		return
	}
	s.measureParts(r.Context())
	w.Header().Set("Cache-Control", "no-store")
	promhttp.Handler().ServeHTTP(w, r)
}

func mayScrape(r *http.Request) bool {
	if secrets.OPS_TOKEN == "" {
		return encore.Meta().Environment.Type != encore.EnvProduction
	}
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return bearer && subtle.ConstantTimeCompare([]byte(token), []byte(secrets.OPS_TOKEN)) == 1
}
