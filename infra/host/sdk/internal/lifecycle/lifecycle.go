// Package lifecycle starts and stops the parts of a running app in order.
package lifecycle

import (
	"context"

	"encore.dev/shutdown"
)

// Role is what one process of an app does. A process may have several.
type Role uint8

const (
	Web       Role = 1 << iota // serves HTTP
	Worker                     // runs subscriptions
	Scheduler                  // runs crons
	All       = Web | Worker | Scheduler
)

// Stage orders the start; the stop is the reverse.
type Stage uint8

const (
	Resources     Stage = iota // pools, brokers, buckets: connect, migrate
	Services                   // service structs
	Subscriptions              // consumers
	Crons                      // the scheduler
	Listener                   // HTTP
)

// Component is something that runs for the life of the process.
type Component struct {
	Name  string
	Stage Stage
	Roles Role // 0: in every role
	// Start returns once the component works; long work goes on in goroutines that Stop ends.
	// The context lives until the process is told to stop.
	Start func(ctx context.Context) error
	// Stop drains and waits; it returns at the latest when p.ForceShutdown is done.
	Stop func(p shutdown.Progress) error
	// Health is asked by the health endpoint; nil is always healthy.
	Health func(ctx context.Context) error
}
