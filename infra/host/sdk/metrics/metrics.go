// Package metrics gives services counters and gauges, which the host serves to
// Prometheus at /metrics.
//
//	var signups = metrics.NewCounter[uint64]("signups", metrics.CounterConfig{})
//
// A metric that a service declares has the label service with its name.
package metrics

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"encore.dev/internal/caller"
	"encore.dev/internal/lifecycle"
	"encore.dev/internal/registry"
)

// Value is the type of a metric's value.
type Value interface {
	uint64 | int64 | float64
}

// Labels is a struct whose fields, strings, integers or booleans, are a metric's labels.
type Labels interface {
	comparable
}

// CounterConfig configures a counter; there is nothing to configure.
type CounterConfig struct{}

// GaugeConfig configures a gauge; there is nothing to configure.
type GaugeConfig struct{}

// Counter only rises.
type Counter[V Value] struct{ resolve func() prometheus.Counter }

// Increment adds one.
func (c *Counter[V]) Increment() { c.resolve().Inc() }

// Add adds delta; it panics if delta is negative.
func (c *Counter[V]) Add(delta V) { c.resolve().Add(float64(delta)) }

// Gauge rises and falls.
type Gauge[V Value] struct{ resolve func() prometheus.Gauge }

// Set sets the gauge.
func (g *Gauge[V]) Set(val V) { g.resolve().Set(float64(val)) }

// Add adds to the gauge; val may be negative.
func (g *Gauge[V]) Add(val V) { g.resolve().Add(float64(val)) }

// CounterGroup is a counter for each combination of labels.
type CounterGroup[L Labels, V Value] struct {
	group[L]
	vec *prometheus.CounterVec
}

// With gives the counter of some labels.
func (g *CounterGroup[L, V]) With(labels L) *Counter[V] {
	c := g.vec.WithLabelValues(g.values(labels)...)
	return &Counter[V]{resolve: func() prometheus.Counter { return c }}
}

// GaugeGroup is a gauge for each combination of labels.
type GaugeGroup[L Labels, V Value] struct {
	group[L]
	vec *prometheus.GaugeVec
}

// With gives the gauge of some labels.
func (g *GaugeGroup[L, V]) With(labels L) *Gauge[V] {
	c := g.vec.WithLabelValues(g.values(labels)...)
	return &Gauge[V]{resolve: func() prometheus.Gauge { return c }}
}

// NewCounter declares a counter. It is for package variables.
func NewCounter[V Value](name string, cfg CounterConfig) *Counter[V] {
	g := newGroup[struct{}](name, caller.Package(0))
	vec := register(prometheus.NewCounterVec(prometheus.CounterOpts(g.opts), g.names))
	c := &Counter[V]{resolve: sync.OnceValue(func() prometheus.Counter { return vec.WithLabelValues(g.values(struct{}{})...) })}
	showFromStart(func() { c.resolve() })
	return c
}

// NewCounterGroup declares a counter with labels. It is for package variables.
func NewCounterGroup[L Labels, V Value](name string, cfg CounterConfig) *CounterGroup[L, V] {
	g := newGroup[L](name, caller.Package(0))
	return &CounterGroup[L, V]{group: g, vec: register(prometheus.NewCounterVec(prometheus.CounterOpts(g.opts), g.names))}
}

// NewGauge declares a gauge. It is for package variables.
func NewGauge[V Value](name string, cfg GaugeConfig) *Gauge[V] {
	g := newGroup[struct{}](name, caller.Package(0))
	vec := register(prometheus.NewGaugeVec(prometheus.GaugeOpts(g.opts), g.names))
	c := &Gauge[V]{resolve: sync.OnceValue(func() prometheus.Gauge { return vec.WithLabelValues(g.values(struct{}{})...) })}
	showFromStart(func() { c.resolve() })
	return c
}

// NewGaugeGroup declares a gauge with labels. It is for package variables.
func NewGaugeGroup[L Labels, V Value](name string, cfg GaugeConfig) *GaugeGroup[L, V] {
	g := newGroup[L](name, caller.Package(0))
	return &GaugeGroup[L, V]{group: g, vec: register(prometheus.NewGaugeVec(prometheus.GaugeOpts(g.opts), g.names))}
}

// showFromStart makes a metric without labels visible before its first use, so
// that a rate can be taken of its first step.
func showFromStart(touch func()) {
	lifecycle.Add(lifecycle.Component{
		Name:  "metrics",
		Stage: lifecycle.Resources,
		Start: func(context.Context) error { touch(); return nil },
	})
}

func register[C prometheus.Collector](c C) C {
	prometheus.MustRegister(c)
	return c
}

// group turns labels into what Prometheus takes.
type group[L Labels] struct {
	opts    prometheus.Opts
	names   []string
	service func() string
}

func newGroup[L Labels](name, pkg string) group[L] {
	g := group[L]{
		opts:  prometheus.Opts{Name: name, Help: "Declared in " + pkg + "."},
		names: []string{"service"},
		// Services are registered after package variables are made.
		service: sync.OnceValue(func() string { return registry.Process().ServiceOfPackage(pkg) }),
	}
	t := reflect.TypeFor[L]()
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("metrics: labels of %s are a %s, not a struct", name, t))
	}
	for i := range t.NumField() {
		f := t.Field(i)
		switch f.Type.Kind() {
		case reflect.String, reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
			reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		default:
			panic(fmt.Sprintf("metrics: label %s of %s is a %s, not a string, integer or boolean", f.Name, name, f.Type))
		}
		label := snake(f.Name)
		if label == "service" {
			panic(fmt.Sprintf("metrics: label service of %s is the host's own", name))
		}
		g.names = append(g.names, label)
	}
	return g
}

func (g group[L]) values(labels L) []string {
	v := reflect.ValueOf(labels)
	values := make([]string, 1, len(g.names))
	values[0] = g.service()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() == reflect.String {
			values = append(values, f.String())
			continue
		}
		values = append(values, fmt.Sprint(f))
	}
	return values
}

// snake turns OrgID into org_id.
func snake(name string) string {
	rs := []rune(name)
	var b strings.Builder
	for i, r := range rs {
		if i > 0 && unicode.IsUpper(r) && (!unicode.IsUpper(rs[i-1]) || (i+1 < len(rs) && unicode.IsLower(rs[i+1]))) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
