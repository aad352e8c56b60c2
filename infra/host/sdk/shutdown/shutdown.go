// Package shutdown tells service structs how far a graceful stop has come.
package shutdown

import "context"

// Handler is implemented by service structs that have something to stop.
type Handler interface {
	// Shutdown is called once, when the process stops. Its error is logged.
	Shutdown(Progress) error
}

// Progress tells how far the stop has come. Each context is cancelled when its moment is reached.
type Progress struct {
	// OutstandingRequests: no API call runs any more.
	OutstandingRequests context.Context

	// OutstandingPubSubMessages: no message is being processed any more.
	OutstandingPubSubMessages context.Context

	// OutstandingTasks: both of the above.
	OutstandingTasks context.Context

	// ForceCloseTasks: tasks that still run are cut off. Early if there are none left.
	ForceCloseTasks context.Context

	// ForceShutdown: the process exits. Early if everything has stopped.
	ForceShutdown context.Context
}
