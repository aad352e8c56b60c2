// Package telemetry turns on what tells the outside of the app: traces and reports of incidents. Each is
// off unless its variables are set.
package telemetry

import (
	"context"
	"errors"
	"sync"

	"encore.app/infra/platform/incident"
	"encore.app/infra/platform/tracing"
)

// Setup is for the init of a service; only the first does anything. Its error names what is set wrongly.
func Setup() error { return errors.Join(tracing.Setup(), incident.Setup()) }

// Flush sends what has not been sent, for the end of a service. It takes no longer than ctx.
func Flush(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { tracing.Flush(ctx) })
	both.Go(func() { incident.Flush(ctx) })
	both.Wait()
}
