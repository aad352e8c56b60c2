package lifecycle

import (
	"context"

	"encore.dev/shutdown"
)

// progress owns the contexts of a [shutdown.Progress].
type progress struct {
	public                                     shutdown.Progress
	requests, messages, tasks, force, shutdown context.CancelFunc
}

func newProgress(d Deadlines) *progress {
	var p progress
	base := context.Background()
	p.public.OutstandingRequests, p.requests = context.WithCancel(base)
	p.public.OutstandingPubSubMessages, p.messages = context.WithCancel(base)
	p.public.OutstandingTasks, p.tasks = context.WithCancel(base)
	p.public.ForceCloseTasks, p.force = context.WithTimeout(base, min(d.Tasks, d.Total))
	p.public.ForceShutdown, p.shutdown = context.WithTimeout(base, d.Total)
	return &p
}

// stageStopped moves the progress on: the stop runs from the listener down.
func (p *progress) stageStopped(s Stage) {
	switch s {
	case Listener:
		p.requests()
	case Subscriptions:
		p.messages()
		p.tasks()
		p.force()
	}
}

func (p *progress) end() {
	p.requests()
	p.messages()
	p.tasks()
	p.force()
	p.shutdown()
}
