package ops

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"encore.app/infra/platform/keyvalue"
	"encore.dev/rlog"
	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	partReady       = "ready"
	partDegraded    = "degraded"
	partUnavailable = "unavailable"
)

// part is something that the app depends on. Without a ping there is nothing to ask.
type part struct {
	name     string
	required bool
	ping     func(context.Context) error
	detail   string
	degraded func() string // what is wrong with one that answers; nil for a part that either does or does not
}

func checkAll(ctx context.Context, parts []part) map[string]Part {
	out := make(map[string]Part, len(parts))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, p := range parts {
		wg.Go(func() {
			state := p.check(ctx)
			mu.Lock()
			defer mu.Unlock()
			out[p.name] = state
		})
	}
	wg.Wait()
	return out
}

func (p part) check(ctx context.Context) Part {
	state := Part{Status: partReady, Required: p.required, Detail: p.detail}
	if p.ping == nil {
		return state
	}
	start := time.Now()
	err := p.ping(ctx)
	state.LatencyMS = float64(time.Since(start).Microseconds()) / 1000
	if err != nil {
		rlog.Warn("part is away", "part", p.name, "err", err)
		state.Status, state.Detail = partUnavailable, "does not answer"
	} else if p.degraded != nil {
		if detail := p.degraded(); detail != "" {
			state.Status, state.Detail = partDegraded, detail
		}
	}
	return state
}

func redisPart(store *keyvalue.Store) part {
	p := part{name: "redis", ping: func(ctx context.Context) error { return store.Ping(ctx).Err() }}
	if store.Embedded() {
		p.detail = "embedded in this process"
	}
	return p
}

func rabbitPart(r *rabbit) part {
	if r.url == "" {
		return part{name: "rabbitmq", detail: "not configured; messages travel without it"}
	}
	return part{name: "rabbitmq", ping: r.ping}
}

// rabbit keeps a connection of its own, so that asking costs nothing while the broker is there.
type rabbit struct {
	url  string
	mu   sync.Mutex
	conn *amqp.Connection
}

func (r *rabbit) ping(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil && !r.conn.IsClosed() {
		return nil
	}
	conn, err := amqp.DialConfig(r.url, amqp.Config{
		Heartbeat: 5 * time.Second,
		Dial: func(network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{Timeout: readyWithin}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			// For the handshake; heartbeats set their own from then on.
			return conn, conn.SetDeadline(time.Now().Add(readyWithin))
		},
	})
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	r.conn = conn
	return nil
}

func (r *rabbit) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil {
		return nil
	}
	return r.conn.Close()
}
