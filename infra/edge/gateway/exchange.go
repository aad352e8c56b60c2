package gateway

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/incident"
	"encore.app/infra/platform/job"
	"encore.app/infra/platform/ratelimit"
	"encore.app/infra/platform/redact"
	"encore.app/infra/platform/request"
	"encore.app/infra/platform/tracing"
	encore "encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/middleware"
	"encore.dev/rlog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var durations = promauto.NewHistogramVec(prometheus.HistogramOpts{
	Name:    "tenantry_request_duration_seconds",
	Help:    "Time to answer, by route and status.",
	Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
}, []string{"route", "status"})

// exchange is what the layers of the gateway learn about one request.
type exchange struct {
	cron      bool // called by the scheduler, not by anybody
	info      request.Info
	trail     *authz.Trail
	principal *principal.Principal
	verdicts  []ratelimit.Verdict
	keyed     bool
	cause     error
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok { // a layer without Observe in front of it: nothing will be logged, everything still holds
		x = new(exchange)
		_, x.trail = authz.WithTrail(ctx)
	}
	return x
}

func newExchange(data *encore.Request) *exchange {
	x := &exchange{cron: data.CronIdempotencyKey != "", info: request.Info{
		ID:    data.Headers.Get("X-Request-ID"),
		IP:    request.ClientIP(data.Headers),
		Route: data.Service + "." + data.Endpoint,
	}}
	if x.info.ID == "" && data.Trace != nil {
		x.info.ID = data.Trace.TraceID
	}
	return x
}

// traced begins the step of the request. Encore's own trace ids are no W3C ones; ours are.
func traced(ctx context.Context, data *encore.Request) (context.Context, tracing.Span) {
	if !tracing.On() {
		return ctx, tracing.Span{}
	}
	from := tracing.Caller{Traceparent: data.Headers.Get("Traceparent"), Tracestate: data.Headers.Get("Tracestate")}
	if data.Trace != nil {
		from.TraceID = data.Trace.TraceID
	}
	return tracing.Request(ctx, from, data.Service+"."+data.Endpoint)
}

// finish writes the request's one log line and its measurement, ends its step, and reports what
// somebody should look at. failed is the error as it came, resp has it as it leaves.
func (x *exchange) finish(resp middleware.Response, failed error, took time.Duration, span tracing.Span) {
	status := statusOf(resp)
	durations.WithLabelValues(x.info.Route, strconv.Itoa(status)).Observe(took.Seconds())
	if x.cron {
		job.Ran(x.info.Route, failed == nil, took)
	}
	decision, decided := x.trail.Last()
	if failed != nil && ours(resp.Err) {
		incident.Send(incident.Of(failed, x.info.Route, x.info.ID, decision.ID))
	}
	x.endStep(span, status, decision.ID)

	fields := []any{
		"request_id", x.info.ID, "route", x.info.Route,
		"status", status, "duration_ms", float64(took.Microseconds()) / 1000, "outcome", outcome(status),
	}
	if p := x.principal; p != nil {
		fields = append(fields, "actor", p.ID(), "org_id", p.OrgID(), "audience", p.Caller.Audience)
	}
	if decided {
		fields = append(fields, "decision_id", decision.ID, "policy_version", decision.PolicyVersion, "cached", decision.Cached)
	}
	if x.cause != nil {
		rlog.Error("request", append(fields, "err", redact.Error(x.cause))...)
		return
	}
	rlog.Info("request", fields...)
}

// ours says that an error as it leaves means a fault of the app's own.
func ours(err error) bool {
	e := fault.As(err)
	return e != nil && (e.Code == errs.Internal || e.Code == errs.Unknown)
}

// endStep tells the trace what the log line tells.
func (x *exchange) endStep(span tracing.Span, status int, decision string) {
	if span.On() {
		span.SetInt("http.response.status_code", status)
		span.Set("tenantry.request_id", x.info.ID)
		span.Set("tenantry.decision_id", decision)
		if p := x.principal; p != nil {
			span.Set("tenantry.org_id", p.OrgID())
			span.Set("tenantry.audience", p.Caller.Audience)
		}
		if status >= http.StatusInternalServerError {
			span.Fail(strconv.Itoa(status))
		}
	}
	span.End(nil)
}

// causeOf is what must be logged and not sent.
func causeOf(err error) error {
	if cause := fault.Cause(err); cause != nil {
		return cause
	}
	if fault.As(err) == nil {
		return err
	}
	return nil
}

func outcome(status int) string {
	switch {
	case status < 400:
		return "succeeded"
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return "denied"
	}
	return "failed"
}

// statusOf is the status that the response leaves with.
func statusOf(resp middleware.Response) int {
	if resp.HTTPStatus != 0 {
		return resp.HTTPStatus
	}
	if resp.Err != nil {
		return fault.Status(resp.Err)
	}
	if v := reflect.Indirect(reflect.ValueOf(resp.Payload)); v.Kind() == reflect.Struct {
		if f := v.FieldByName("HTTPStatus"); f.IsValid() && f.Kind() == reflect.Int && f.Int() != 0 {
			return int(f.Int())
		}
	}
	return http.StatusOK
}
