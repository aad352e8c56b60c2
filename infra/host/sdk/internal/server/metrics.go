package server

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics measures requests.
type metrics struct{ seconds *prometheus.HistogramVec }

// observers holds one endpoint's histograms by class of status, so that a request looks nothing up.
type observers [6]prometheus.Observer

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "host_http_request_duration_seconds",
		Help:    "Time from a request's arrival to the end of its answer.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"service", "endpoint", "code"})}
	if r == nil {
		return m, nil
	}
	if err := r.Register(m.seconds); err != nil {
		var twice prometheus.AlreadyRegisteredError
		if !errors.As(err, &twice) {
			return nil, err
		}
		m.seconds = twice.ExistingCollector.(*prometheus.HistogramVec)
	}
	return m, nil
}

// of gives an endpoint's observers. Status 0 (a connection that was taken over) counts as 1xx.
func (m *metrics) of(service, endpoint string) *observers {
	var o observers
	for class, code := range []string{"1xx", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		o[class] = m.seconds.WithLabelValues(service, endpoint, code)
	}
	return &o
}

func (o *observers) done(status int, d time.Duration) {
	class := status / 100
	if class < 0 || class >= len(o) {
		class = 5
	}
	o[class].Observe(d.Seconds())
}
