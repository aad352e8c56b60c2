package ops

import (
	"context"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var (
	partUp = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tenantry_part_up",
		Help: "1 if the part answers this process, 0 if not: postgres, redis, rabbitmq, cerbos, oidc.",
	}, []string{"part"})
	partWeak = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tenantry_part_degraded",
		Help: "1 if the part answers and something is wrong with it; /readyz says what.",
	}, []string{"part"})
)

// measureParts asks the parts, as /readyz does.
func (s *Service) measureParts(ctx context.Context) {
	for name, p := range s.state(ctx) {
		partUp.WithLabelValues(name).Set(oneIf(p.Status != partUnavailable))
		partWeak.WithLabelValues(name).Set(oneIf(p.Status == partDegraded))
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// databasePool is the process's pool, once there is one.
var databasePool atomic.Pointer[pgxpool.Pool]

// poolStats tells of its connections.
type poolStats struct{}

func init() { prometheus.MustRegister(poolStats{}) }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tenantry_postgres_"+name, help, labels, nil)
}

var (
	poolConnections = describe("connections", "Connections to Postgres in the pool, by state: idle, used, opening.", "state")
	poolMost        = describe("connections_max", "How many connections the pool may have.")
	poolAcquired    = describe("acquires_total", "Connections taken from the pool.")
	poolWaited      = describe("acquires_waited_total", "Connections for which somebody had to wait, because none was idle.")
	poolGivenUp     = describe("acquires_canceled_total", "Waits for a connection that were given up.")
	poolWaits       = describe("acquire_wait_seconds_total", "How long was waited for connections in all.")
)

func (poolStats) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{poolConnections, poolMost, poolAcquired, poolWaited, poolGivenUp, poolWaits} {
		to <- d
	}
}

func (poolStats) Collect(to chan<- prometheus.Metric) {
	pool := databasePool.Load()
	if pool == nil {
		return
	}
	s := pool.Stat()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v)
	}
	gauge(poolConnections, float64(s.IdleConns()), "idle")
	gauge(poolConnections, float64(s.AcquiredConns()), "used")
	gauge(poolConnections, float64(s.ConstructingConns()), "opening")
	gauge(poolMost, float64(s.MaxConns()))
	counter(poolAcquired, float64(s.AcquireCount()))
	counter(poolWaited, float64(s.EmptyAcquireCount()))
	counter(poolGivenUp, float64(s.CanceledAcquireCount()))
	counter(poolWaits, s.EmptyAcquireWaitTime().Seconds())
}
