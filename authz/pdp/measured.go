package pdp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"encore.app/authz/filter"
	"encore.app/authz/principal"
	"encore.app/infra/platform/meter"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var (
	decisions = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "tenantry_authz_decisions_total",
		Help: "Authorization decisions by the layer that answered (memory, redis, pdp) and by effect (allow, deny, error).",
	}, []string{"layer", "effect"})
	latency = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tenantry_authz_decision_duration_seconds",
		Help:    "Time to decide, by call (check, batch, plan) and by the slowest layer that had to answer.",
		Buckets: []float64{.000002, .00001, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25},
	}, []string{"call", "layer"})
	calls = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tenantry_pdp_call_duration_seconds",
		Help:    "Calls to the decision point, one retry included, by method and gRPC code.",
		Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5},
	}, []string{"method", "code"})
	faults = meter.Counter("tenantry_authz_faults_total",
		"Questions that got no decision: unavailable, invalid (does not fit the schemas), unmatched (unknown kind or action), unsafe. All but the first are bugs: alert on them.",
		"fault", "unavailable", "invalid", "unmatched", "unsafe", "internal")
	bypassed = promauto.NewCounter(prometheus.CounterOpts{
		Name: "tenantry_authz_cache_bypassed_total",
		Help: "Questions that skipped the caches because nothing could say whether they are current.",
	})
	sharedFailed = promauto.NewCounter(prometheus.CounterOpts{
		Name: "tenantry_authz_shared_cache_failures_total",
		Help: "Calls to the shared decision cache that failed or took too long.",
	})
	sharedDropped = promauto.NewCounter(prometheus.CounterOpts{
		Name: "tenantry_authz_shared_cache_dropped_total",
		Help: "Decisions not shared because the writer was behind.",
	})
)

// layerPDP is the label of what no cache answered.
const layerPDP = "pdp"

// meters are one layer's, looked up once.
type meters struct {
	allow, deny, failed prometheus.Counter
	check, batch, plan  prometheus.Observer
}

func metersOf(layer string) meters {
	return meters{
		allow: decisions.WithLabelValues(layer, Allow), deny: decisions.WithLabelValues(layer, Deny),
		failed: decisions.WithLabelValues(layer, "error"),
		check:  latency.WithLabelValues("check", layer), batch: latency.WithLabelValues("batch", layer), plan: latency.WithLabelValues("plan", layer),
	}
}

func (m *meters) count(allowed bool) {
	if allowed {
		m.allow.Inc()
	} else {
		m.deny.Inc()
	}
}

var memoryMeters, redisMeters, pdpMeters = metersOf(LayerMemory), metersOf(LayerRedis), metersOf(layerPDP)

func of(layer string) *meters {
	switch layer {
	case LayerMemory:
		return &memoryMeters
	case LayerRedis:
		return &redisMeters
	}
	return &pdpMeters
}

// Measured counts and times what another Decider answers.
type Measured struct{ next Decider }

var _ Decider = (*Measured)(nil)

// NewMeasured measures next.
func NewMeasured(next Decider) *Measured { return &Measured{next: next} }

// Check decides one action on one resource.
func (m *Measured) Check(ctx context.Context, p *principal.Principal, r Resource, action string) (Decision, error) {
	start := time.Now()
	d, err := m.next.Check(ctx, p, r, action)
	if err != nil {
		return d, failed(ctx, err)
	}
	layer := of(d.Cached)
	layer.count(d.Allowed)
	layer.check.Observe(time.Since(start).Seconds())
	return d, nil
}

// CheckAll decides every action of every query.
func (m *Measured) CheckAll(ctx context.Context, p *principal.Principal, queries []Query) ([]map[string]Decision, error) {
	start := time.Now()
	all, err := m.next.CheckAll(ctx, p, queries)
	if err != nil {
		return all, failed(ctx, err)
	}
	slowest := &memoryMeters
	for _, answers := range all {
		for _, d := range answers {
			layer := of(d.Cached)
			layer.count(d.Allowed)
			if layer == &pdpMeters || slowest == &memoryMeters {
				slowest = layer
			}
		}
	}
	slowest.batch.Observe(time.Since(start).Seconds())
	return all, nil
}

// Plan says on which resources of a kind the principal may do the action.
func (m *Measured) Plan(ctx context.Context, p *principal.Principal, action, kind string, known map[string]any) (*filter.Plan, error) {
	start := time.Now()
	plan, err := m.next.Plan(ctx, p, action, kind, known)
	if err != nil {
		return plan, failed(ctx, err)
	}
	layer := of(plan.Cached)
	layer.count(!plan.AlwaysDenied())
	layer.plan.Observe(time.Since(start).Seconds())
	return plan, nil
}

// failed counts a question without an answer; a caller who gave up is nobody's fault.
func failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	pdpMeters.failed.Inc()
	fault := "internal"
	switch {
	case errors.Is(err, ErrUnavailable):
		fault = "unavailable"
	case errors.Is(err, ErrInvalid):
		fault = "invalid"
	case errors.Is(err, ErrUnmatched):
		fault = "unmatched"
	case errors.Is(err, ErrUnsafe):
		fault = "unsafe"
	}
	faults.WithLabelValues(fault).Inc()
	return err
}

// Unknown is the error for a question that no policy of this build knows.
func Unknown(kind, action string) error {
	faults.WithLabelValues("unmatched").Inc()
	return fmt.Errorf("%w: %s of %s", ErrUnmatched, action, kind)
}
