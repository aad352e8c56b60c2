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
	"encore.app/infra/platform/ratelimit"
	"encore.app/infra/platform/request"
	encore "encore.dev"
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
	x := &exchange{info: request.Info{
		ID:    data.Headers.Get("X-Request-ID"),
		IP:    request.ClientIP(data.Headers),
		Route: data.Service + "." + data.Endpoint,
	}}
	if x.info.ID == "" && data.Trace != nil {
		x.info.ID = data.Trace.TraceID
	}
	return x
}

// finish writes the request's one log line and its measurement.
func (x *exchange) finish(resp middleware.Response, took time.Duration) {
	status := statusOf(resp)
	durations.WithLabelValues(x.info.Route, strconv.Itoa(status)).Observe(took.Seconds())

	fields := []any{
		"request_id", x.info.ID, "route", x.info.Route,
		"status", status, "duration_ms", float64(took.Microseconds()) / 1000, "outcome", outcome(status),
	}
	if p := x.principal; p != nil {
		fields = append(fields, "actor", p.ID(), "org_id", p.OrgID(), "audience", p.Caller.Audience)
	}
	if made, ok := x.trail.Last(); ok {
		fields = append(fields, "decision_id", made.Decision.ID, "policy_version", made.PolicyVersion, "cached", made.Cached)
	}
	if x.cause != nil {
		rlog.Error("request", append(fields, "err", x.cause.Error())...)
		return
	}
	rlog.Info("request", fields...)
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
