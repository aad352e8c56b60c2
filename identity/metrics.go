package identity

import (
	"encore.app/infra/platform/fault"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var authentications = promauto.NewCounterVec(prometheus.CounterOpts{
	Name: "tenantry_authentications_total",
	Help: "Calls by what became of their credentials: ok, or the reason of the refusal (dependency_unavailable and internal are ours).",
}, []string{"result"})

var authenticated = authentications.WithLabelValues("ok")

// Those that alerts look at are there before they first happen.
func init() {
	for _, reason := range []fault.Reason{fault.BadSignature, fault.DependencyUnavailable, fault.InternalReason} {
		authentications.WithLabelValues(string(reason))
	}
}

func count(err error) {
	if err == nil {
		authenticated.Inc()
		return
	}
	reason := fault.DetailsOf(err).Reason
	if reason == "" {
		reason = fault.InternalReason
	}
	authentications.WithLabelValues(string(reason)).Inc()
}
