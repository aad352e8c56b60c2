package audit

import (
	"context"
	"time"

	"encore.app/infra/platform/broker"
	"encore.app/infra/platform/meter"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/rlog"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	measureEvery = 10 * time.Second
	pruneEvery   = time.Hour
	// keepDeliveries is how long the log of what was delivered goes back.
	keepDeliveries = 30 * 24 * time.Hour
	pruneBatch     = 10_000
)

var (
	deliveries = meter.Counter("tenantry_sink_deliveries_total",
		"Attempts to deliver an audit event to a sink, by what became of it.",
		"result", "delivered", "retried", "failed")
	queueDepth = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tenantry_queue_depth",
		Help: "Work that is not done, by queue.",
	}, []string{"queue"})
	queueAge = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tenantry_queue_oldest_seconds",
		Help: "Age of the oldest work that is not done, by queue; 0 if there is none.",
	}, []string{"queue"})
	queueDead = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tenantry_queue_dead",
		Help: "Dead letters, by queue.",
	}, []string{"queue"})
	brokerConnected = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "tenantry_broker_connected",
		Help: "1 while this process has a connection to the broker, else 0.",
	})
	brokerWaiting = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tenantry_broker_messages",
		Help: "Messages that the broker holds, by queue and state: waiting for a consumer, dead.",
	}, []string{"queue", "state"})
	brokerConsumers = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tenantry_broker_consumers",
		Help: "Consumers that the broker knows, by queue; 0 also where it cannot be asked.",
	}, []string{"queue"})
)

// measure says how far behind the queues are. What cannot be read keeps its last value; a topic that
// has nothing left is 0.
func (s *sinks) measure(ctx context.Context) {
	connected := 0.0
	if s.broker.Health() == nil {
		connected = 1
	}
	brokerConnected.Set(connected)
	stats := s.brokerStats(ctx)
	brokerWaiting.WithLabelValues(sinkQueue, "waiting").Set(float64(stats.Depth))
	brokerWaiting.WithLabelValues(sinkQueue, "dead").Set(float64(stats.Dead))
	brokerConsumers.WithLabelValues(sinkQueue).Set(float64(stats.Consumers))
	queues, err := s.queues(ctx, s.topics)
	if err != nil {
		return
	}
	s.topics = s.topics[:0]
	for _, q := range queues {
		if q.Kind == kindOutbox {
			s.topics = append(s.topics, q.Name)
		}
		queueDepth.WithLabelValues(q.Name).Set(float64(q.Depth))
		queueAge.WithLabelValues(q.Name).Set(q.AgeSeconds)
		queueDead.WithLabelValues(q.Name).Set(float64(q.Dead))
	}
}

// backlog is what sinks have not received.
type backlog struct {
	Depth int
	Age   float64
}

func (s sinkStore) backlog(ctx context.Context) (backlog, error) {
	b, err := tenantdb.Row(ctx, s.db, tenantdb.Platform(), pgx.RowToStructByPos[backlog], `
select count(*)::int, coalesce(extract(epoch from now() - min(created_at)), 0)::float8
  from audit.deliveries where state in ('pending', 'queued', 'running', 'retrying')`)
	return b, wrapSink("measure", err)
}

// What somebody else has is being deleted with its sink or sent again.
const pruneDeliveries = `
with old as (
    select org_id, id from audit.deliveries
     where state in ('delivered', 'failed') and created_at < now() - make_interval(secs => $1)
     order by created_at limit $2
       for update skip locked)
delete from audit.deliveries d using old where d.org_id = old.org_id and d.id = old.id`

// prune forgets old entries of the delivery log.
func (s *sinks) prune(ctx context.Context) {
	for {
		var gone int64
		err := s.store.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, pruneDeliveries, keepDeliveries.Seconds(), pruneBatch)
			gone = tag.RowsAffected()
			return err
		})
		if err != nil && ctx.Err() == nil {
			rlog.Warn("the delivery log cannot be pruned", "err", err)
		}
		if err != nil || gone < pruneBatch {
			return
		}
	}
}

// brokerStats are the sink queue's; the zero value where the broker cannot be asked.
func (s *sinks) brokerStats(ctx context.Context) broker.Stats {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	all, err := s.broker.Stats(ctx)
	if err != nil {
		return broker.Stats{}
	}
	for _, q := range all {
		if q.Queue == sinkQueue {
			return q
		}
	}
	return broker.Stats{}
}
