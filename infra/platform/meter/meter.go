// Package meter makes counters whose series are there before anything is counted: a rate needs a zero to
// begin with, and the first failure is one that an alert should see.
package meter

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Counter is a counter by one label, at zero for each of the values that are known.
func Counter(name, help, label string, values ...string) *prometheus.CounterVec {
	c := promauto.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	for _, v := range values {
		c.WithLabelValues(v)
	}
	return c
}
