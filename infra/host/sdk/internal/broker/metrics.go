package broker

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var (
	publishedTotal = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "pubsub_published_total", Help: "Messages accepted by a topic.",
	}, []string{"topic"})
	deliveredTotal = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "pubsub_delivered_total", Help: "Messages whose handler succeeded.",
	}, []string{"topic", "subscription"})
	retriedTotal = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "pubsub_retried_total", Help: "Failed attempts that are tried again.",
	}, []string{"topic", "subscription"})
	deadTotal = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "pubsub_dead_total", Help: "Messages given up and kept as dead letters.",
	}, []string{"topic", "subscription"})
)

func count(s *Subscription, k kind) {
	switch k {
	case done:
		deliveredTotal.WithLabelValues(s.Topic, s.Name).Inc()
	case retry:
		retriedTotal.WithLabelValues(s.Topic, s.Name).Inc()
	case dead:
		deadTotal.WithLabelValues(s.Topic, s.Name).Inc()
	}
}
