package stripesync

import (
	"context"
	"time"

	"encore.app/infra/platform/meter"
	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var (
	syncs = meter.Counter("tenantry_billing_syncs_total",
		"Customers looked up at Stripe, by result: changed, same, unknown, failed, lost.",
		"result", "changed", "same", "unknown", "failed", "lost")
	drifts = promauto.NewCounter(prometheus.CounterOpts{
		Name: "tenantry_billing_drift_total",
		Help: "Licences that a reconciliation found to differ from Stripe, with no webhook to say so.",
	})
	waiting = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "tenantry_billing_dirty_customers",
		Help: "Customers whose licence is not known to be Stripe's.",
	})
	lag = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "tenantry_billing_lag_seconds",
		Help: "Age of the oldest change that is not applied; 0 if there is none.",
	})
)

// measureEvery is how often the backlog is measured.
const measureEvery = 15 * time.Second

const backlog = "select count(*), coalesce(extract(epoch from now() - min(dirty_since)), 0)::float8 from licensing.sync_queue"

// measure says how far behind the licences are. What cannot be read keeps its last value.
func (w *Worker) measure(ctx context.Context) {
	type state struct {
		Waiting int64
		Lag     float64
	}
	ticker := time.NewTicker(measureEvery)
	defer ticker.Stop()
	for {
		s, err := tenantdb.Row(ctx, w.cfg.Queue.DB, tenantdb.Platform(), pgx.RowToStructByPos[state], backlog)
		if err == nil {
			waiting.Set(float64(s.Waiting))
			lag.Set(s.Lag)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
