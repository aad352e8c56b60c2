package ops

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"encore.app/authz"
	"encore.app/infra/platform/fault"
	encore "encore.dev"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// OverviewResponse is what the process that answers has measured since it started.
type OverviewResponse struct {
	Revision  string           `json:"revision"`
	Requests  []RouteOverview  `json:"requests"` // by route, the most asked for first
	Decisions []SourceOverview `json:"decisions"`
	Outbox    OutboxOverview   `json:"outbox"`
	Audit     AuditOverview    `json:"audit"`
}

// RouteOverview is how one endpoint did. Times are upper bounds, from a histogram.
type RouteOverview struct {
	Route   string  `json:"route"`
	Count   int     `json:"count"`
	Refused int     `json:"refused"` // with a 4xx
	Failed  int     `json:"failed"`  // with a 5xx
	P50MS   float64 `json:"p50_ms"`
	P99MS   float64 `json:"p99_ms"`
}

// SourceOverview is how many decisions one layer gave: memory, redis, pdp.
type SourceOverview struct {
	Source string `json:"source"`
	Count  int    `json:"count"`
}

// OutboxOverview is how far behind messages are.
type OutboxOverview struct {
	OldestSeconds float64 `json:"oldest_seconds"`
	Dead          int     `json:"dead"`
}

// AuditOverview is how far behind the audit logs are.
type AuditOverview struct {
	Unnumbered              int     `json:"unnumbered"`
	UnnumberedOldestSeconds float64 `json:"unnumbered_oldest_seconds"`
	TamperedLogs            int     `json:"tampered_logs"`
}

// Overview says how the process that answers does. /metrics has all of it, for machines.
//
// Platform staff may. Refuses with wrong_audience and policy_denied.
//
//encore:api auth method=GET path=/api/v1/admin/overview
func (s *Service) Overview(ctx context.Context) (*OverviewResponse, error) {
	if _, err := authz.Check(ctx, "read", authz.Resource{Kind: "platform"}); err != nil {
		return nil, err
	}
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		return nil, fault.Internal(err)
	}
	out := overviewOf(families)
	out.Revision = encore.Meta().Build.Revision
	return out, nil
}

func overviewOf(families []*dto.MetricFamily) *OverviewResponse {
	out := &OverviewResponse{}
	routes := map[string]*routeSum{}
	sources := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			switch family.GetName() {
			case "tenantry_request_duration_seconds":
				route := labelOf(m, "route")
				if routes[route] == nil {
					routes[route] = &routeSum{buckets: map[float64]uint64{}}
				}
				routes[route].add(labelOf(m, "status"), m.GetHistogram())
			case "tenantry_authz_decisions_total":
				sources[labelOf(m, "layer")] += m.GetCounter().GetValue()
			case "tenantry_outbox_oldest_seconds":
				out.Outbox.OldestSeconds = max(out.Outbox.OldestSeconds, m.GetGauge().GetValue())
			case "tenantry_outbox_dead":
				out.Outbox.Dead += int(m.GetGauge().GetValue())
			case "tenantry_audit_unnumbered_events":
				out.Audit.Unnumbered += int(m.GetGauge().GetValue())
			case "tenantry_audit_unnumbered_oldest_seconds":
				out.Audit.UnnumberedOldestSeconds = max(out.Audit.UnnumberedOldestSeconds, m.GetGauge().GetValue())
			case "tenantry_audit_tampered_logs":
				out.Audit.TamperedLogs += int(m.GetGauge().GetValue())
			}
		}
	}
	out.Requests = make([]RouteOverview, 0, len(routes))
	for route, sum := range routes {
		out.Requests = append(out.Requests, RouteOverview{
			Route: route, Count: int(sum.count), Refused: int(sum.refused), Failed: int(sum.failed),
			P50MS: sum.within(0.5), P99MS: sum.within(0.99),
		})
	}
	slices.SortFunc(out.Requests, func(a, b RouteOverview) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Route, b.Route))
	})
	out.Decisions = make([]SourceOverview, 0, len(sources))
	for source, n := range sources {
		out.Decisions = append(out.Decisions, SourceOverview{Source: source, Count: int(n)})
	}
	slices.SortFunc(out.Decisions, func(a, b SourceOverview) int { return strings.Compare(a.Source, b.Source) })
	return out
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// routeSum is a route's histogram over all of its statuses.
type routeSum struct {
	count, refused, failed uint64
	buckets                map[float64]uint64 // upper bound in seconds → requests up to it
}

func (r *routeSum) add(status string, h *dto.Histogram) {
	r.count += h.GetSampleCount()
	switch {
	case strings.HasPrefix(status, "4"):
		r.refused += h.GetSampleCount()
	case strings.HasPrefix(status, "5"):
		r.failed += h.GetSampleCount()
	}
	for _, b := range h.GetBucket() {
		r.buckets[b.GetUpperBound()] += b.GetCumulativeCount()
	}
}

// within is the smallest bound of a bucket, in milliseconds, that the given part of the requests kept to:
// the largest bound there is, where none did.
func (r *routeSum) within(part float64) float64 {
	need := uint64(math.Ceil(part * float64(r.count)))
	bounds := make([]float64, 0, len(r.buckets))
	for bound := range r.buckets {
		if !math.IsInf(bound, 0) {
			bounds = append(bounds, bound)
		}
	}
	slices.Sort(bounds)
	for _, bound := range bounds {
		if r.buckets[bound] >= need {
			return bound * 1000
		}
	}
	if len(bounds) == 0 {
		return 0
	}
	return bounds[len(bounds)-1] * 1000
}
