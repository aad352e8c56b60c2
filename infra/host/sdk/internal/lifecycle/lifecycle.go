// Package lifecycle starts and stops the parts of a running app in order.
//
// Parts add themselves while packages initialise; package host starts and stops them.
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
	stages        = iota
)

// Component is something that runs for the life of the process.
type Component struct {
	Name  string
	Stage Stage
	Roles Role // 0: in every role
	// Start returns once the component works; long work goes on in goroutines that Stop ends.
	// The context lives until this part is told to stop: it ends just before Stop is called.
	Start func(ctx context.Context) error
	// Stop drains and waits; it returns at the latest when p.ForceShutdown is done.
	Stop func(p shutdown.Progress) error
	// Health is asked by the health endpoint; nil is always healthy.
	Health func(ctx context.Context) error
}

// process holds what this process's packages added.
var process Group

// Add adds a part of this process. It is for package initialisation: what is added after
// [Start] does not run.
func Add(c Component) { process.Add(c) }

// Process is the group that [Add] fills.
func Process() *Group { return &process }

// Start starts this process's parts; see [Group.Start].
func Start(ctx context.Context, roles Role) error { return process.Start(ctx, roles) }

// Stop stops this process's parts; see [Group.Stop].
func Stop(d Deadlines) error { return process.Stop(d) }

// Roles gives what this process does; 0 before [Start]. Tests do not start, so they see 0.
func Roles() Role { return process.Roles() }
