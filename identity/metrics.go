package identity

import (
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/meter"
)

var authentications = meter.Counter("tenantry_authentications_total",
	"Calls by what became of their credentials: ok, or the reason of the refusal (dependency_unavailable and internal are ours).",
	"result", "ok", string(fault.BadSignature), string(fault.DependencyUnavailable), string(fault.InternalReason))

var authenticated = authentications.WithLabelValues("ok")

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
