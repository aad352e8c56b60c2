// Package job measures the app's crons: how they went, how long they took, when one last did well.
package job

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var (
	runs = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "tenantry_cron_runs_total",
		Help: "Runs of a cron in this process, by result: ok, failed.",
	}, []string{"cron", "result"})
	took = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tenantry_cron_duration_seconds",
		Help:    "How long the runs of a cron took.",
		Buckets: prometheus.ExponentialBuckets(0.01, 4, 9),
	}, []string{"cron"})
	last = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tenantry_cron_last_success_timestamp_seconds",
		Help: "When a cron last did well in this process; the start of the process before that. One process of many runs it, so look at the latest.",
	}, []string{"cron"})
	interval = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tenantry_cron_interval_seconds",
		Help: "How often a cron is meant to run.",
	}, []string{"cron"})
)

// Expect says that the endpoint is called every so often. It is for a package variable beside the cron.
func Expect(endpoint string, every time.Duration) struct{} {
	interval.WithLabelValues(endpoint).Set(every.Seconds())
	last.WithLabelValues(endpoint).SetToCurrentTime()
	took.WithLabelValues(endpoint)
	runs.WithLabelValues(endpoint, "ok")
	runs.WithLabelValues(endpoint, "failed")
	return struct{}{}
}

// Ran notes a run.
func Ran(endpoint string, ok bool, d time.Duration) {
	took.WithLabelValues(endpoint).Observe(d.Seconds())
	if !ok {
		runs.WithLabelValues(endpoint, "failed").Inc()
		return
	}
	runs.WithLabelValues(endpoint, "ok").Inc()
	last.WithLabelValues(endpoint).SetToCurrentTime()
}
