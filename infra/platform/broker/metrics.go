package broker

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var (
	publishedTotal = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "tenantry_broker_published_total",
		Help: "Messages handed to the broker, by queue and result.",
	}, []string{"queue", "result"})
	confirmed = promauto.NewHistogram(prometheus.HistogramOpts{
		Name:    "tenantry_broker_confirm_seconds",
		Help:    "From publishing a batch until the broker has confirmed all of it.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	})
	handled = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tenantry_broker_handled_seconds",
		Help:    "Attempts to handle a message, by queue and what became of it.",
		Buckets: prometheus.ExponentialBuckets(0.001, 3, 10),
	}, []string{"queue", "verdict"})
	attempts = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tenantry_broker_attempts",
		Help:    "Attempts that a message took until it was done or given up.",
		Buckets: []float64{1, 2, 3, 5, 8, 13, 21},
	}, []string{"queue"})
)

// zero makes the series of a queue, so that their rates begin with a zero.
func zero(queue string) {
	publishedTotal.WithLabelValues(queue, "ok")
	publishedTotal.WithLabelValues(queue, "failed")
	attempts.WithLabelValues(queue)
	for _, k := range []kind{done, retry, dead} {
		handled.WithLabelValues(queue, string(k))
	}
}
