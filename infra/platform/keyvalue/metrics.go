package keyvalue

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"
)

var (
	exchanges = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tenantry_redis_exchange_duration_seconds",
		Help:    "Exchanges with Redis, by what was sent (command, pipeline) and result: ok, failed.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
	}, []string{"sent", "result"})
	commandOK, commandFailed   = exchanges.WithLabelValues("command", "ok"), exchanges.WithLabelValues("command", "failed")
	pipelineOK, pipelineFailed = exchanges.WithLabelValues("pipeline", "ok"), exchanges.WithLabelValues("pipeline", "failed")
)

// measure times what the client does.
type measure struct{}

var _ redis.Hook = measure{}

func (measure) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (measure) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		start := time.Now()
		err := next(ctx, cmd)
		observe(err, start, commandOK, commandFailed)
		return err
	}
}

func (measure) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		start := time.Now()
		err := next(ctx, cmds)
		observe(err, start, pipelineOK, pipelineFailed)
		return err
	}
}

// observe counts an answer that there is no such key as one.
func observe(err error, start time.Time, ok, failed prometheus.Observer) {
	if err != nil && !errors.Is(err, redis.Nil) {
		ok = failed
	}
	ok.Observe(time.Since(start).Seconds())
}

var (
	connections = prometheus.NewDesc("tenantry_redis_connections", "Connections to Redis, by state: idle, used.", []string{"state"}, nil)
	timeouts    = prometheus.NewDesc("tenantry_redis_connection_timeouts_total", "Waits for a connection to Redis that took too long.", nil, nil)
)

// pool tells of the connections of the process's store, once there is one.
type pool struct{}

func init() { prometheus.MustRegister(pool{}) }

func (pool) Describe(to chan<- *prometheus.Desc) {
	to <- connections
	to <- timeouts
}

func (pool) Collect(to chan<- prometheus.Metric) {
	s := opened.Load()
	if s == nil {
		return
	}
	stats := s.PoolStats()
	to <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(stats.IdleConns), "idle")
	to <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(stats.TotalConns)-float64(stats.IdleConns), "used")
	to <- prometheus.MustNewConstMetric(timeouts, prometheus.CounterValue, float64(stats.Timeouts))
}
