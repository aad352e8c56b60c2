package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"encore.dev/internal/appinfo"
	"encore.dev/internal/broker"
	"encore.dev/internal/lifecycle"
	"encore.dev/internal/part"
	"encore.dev/shutdown"
)

const urlVariable = "RABBITMQ_URL"

// hub holds what an app declared and the transport that carries it.
type hub struct {
	mu        sync.Mutex
	topology  broker.Topology
	problems  []error // of declarations, told when the app starts
	transport broker.Transport
}

// process is the hub of this process's packages.
var process hub

func init() {
	lifecycle.Add(lifecycle.Component{
		Name:   "topics",
		Stage:  lifecycle.Resources,
		Start:  func(ctx context.Context) error { return process.open(ctx, lifecycle.Roles()) },
		Stop:   func(shutdown.Progress) error { return process.close() },
		Health: func(context.Context) error { return process.health() },
	})
	lifecycle.Add(lifecycle.Component{
		Name:  "subscriptions",
		Stage: lifecycle.Subscriptions,
		Roles: lifecycle.Worker,
		Start: func(context.Context) error { return process.consume() },
		Stop:  func(p shutdown.Progress) error { return process.drain(p.ForceCloseTasks, p.ForceShutdown) },
	})
}

func (h *hub) addTopic(name string, cfg TopicConfig) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, other := range h.topology.Topics {
		if other == name {
			h.problems = append(h.problems, fmt.Errorf("topic %q is declared twice", name))
		}
	}
	if cfg.DeliveryGuarantee != AtLeastOnce && cfg.DeliveryGuarantee != ExactlyOnce {
		h.problems = append(h.problems, fmt.Errorf("topic %q has no delivery guarantee", name))
	}
	if cfg.OrderingAttribute != "" {
		h.problems = append(h.problems, fmt.Errorf("topic %q: this host does not support OrderingAttribute", name))
	}
	h.topology.Topics = append(h.topology.Topics, name)
}

func (h *hub) addSubscription(s *broker.Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, other := range h.topology.Subscriptions {
		if other.Topic == s.Topic && other.Name == s.Name {
			h.problems = append(h.problems, fmt.Errorf("subscription %q of topic %q is declared twice", s.Name, s.Topic))
		}
	}
	h.topology.Subscriptions = append(h.topology.Subscriptions, s)
}

// current is the open transport, or nil.
func (h *hub) current() broker.Transport {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.transport
}

// open chooses the transport. Every role declares all queues, so that what is
// published before the first worker starts waits for it.
func (h *hub) open(ctx context.Context, roles lifecycle.Role) error {
	h.mu.Lock()
	topology, problems := h.topology, errors.Join(h.problems...)
	h.mu.Unlock()
	if problems != nil {
		return problems
	}
	if len(topology.Topics) == 0 {
		return nil
	}
	url, _, err := part.Setting(urlVariable)
	if err != nil {
		return err
	}
	var t broker.Transport
	if url != "" {
		t = broker.NewRabbit(broker.RabbitConfig{URL: url, Variable: urlVariable, Topology: topology})
	} else if appinfo.CurrentEnv().Deployed() {
		return &part.Error{Part: "RabbitMQ", Variable: urlVariable, Problem: "is not set; messages in memory are for development"}
	} else {
		t = broker.NewMemory(broker.MemoryConfig{Topology: topology, Consumes: roles&lifecycle.Worker != 0})
	}
	if err := t.Open(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.transport = t
	return nil
}

func (h *hub) consume() error {
	if t := h.current(); t != nil {
		return t.Consume()
	}
	return nil
}

func (h *hub) drain(force, giveUp context.Context) error {
	if t := h.current(); t != nil {
		return t.Drain(force, giveUp)
	}
	return nil
}

func (h *hub) close() error {
	if t := h.current(); t != nil {
		return t.Close()
	}
	return nil
}

func (h *hub) health() error {
	if t := h.current(); t != nil {
		return t.Health()
	}
	return nil
}
