package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"encore.dev/shutdown"
)

// Group is a set of parts that start and stop together. The zero value is ready.
type Group struct {
	mu         sync.Mutex
	components []Component
	running    [stages][]Component
	cancel     [stages]context.CancelFunc
	roles      atomic.Uint32
}

// Deadlines bound a stop: after Tasks what still runs is cut off, after Total nobody waits any more.
type Deadlines struct{ Tasks, Total time.Duration }

// Add adds a part.
func (g *Group) Add(c Component) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.components = append(g.components, c)
}

// Roles gives the roles that the group was started with.
func (g *Group) Roles() Role { return Role(g.roles.Load()) }

// Start starts the parts of the given roles, stage by stage and together within a stage. If one
// fails, its error is returned and those that run stay until [Group.Stop].
func (g *Group) Start(ctx context.Context, roles Role) error {
	g.roles.Store(uint32(roles))
	for stage := range Stage(stages) {
		g.mu.Lock()
		todo := g.components
		stageCtx, cancel := context.WithCancel(ctx)
		g.cancel[stage] = cancel
		g.mu.Unlock()
		if err := g.startStage(stageCtx, stage, roles, todo); err != nil {
			return err
		}
	}
	return nil
}

func (g *Group) startStage(ctx context.Context, stage Stage, roles Role, todo []Component) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for _, c := range todo {
		if c.Stage != stage || (c.Roles != 0 && c.Roles&roles == 0) {
			continue
		}
		wg.Go(func() {
			err := guard(c.Name, func() error {
				if c.Start == nil {
					return nil
				}
				return c.Start(ctx)
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			g.mu.Lock()
			g.running[stage] = append(g.running[stage], c)
			g.mu.Unlock()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Stop stops what runs in reverse order and waits for it, at most d.Total. Stages that process
// tasks are waited for until d.Tasks; after that the next stage is told to stop all the same.
func (g *Group) Stop(d Deadlines) error {
	g.mu.Lock()
	running, cancel := g.running, g.cancel
	g.running, g.cancel = [stages][]Component{}, [stages]context.CancelFunc{}
	g.mu.Unlock()

	p := newProgress(d)
	defer p.end()
	var (
		errs []error
		late []<-chan error
	)
	for stage := Stage(stages) - 1; ; stage-- {
		limit := p.public.ForceShutdown
		if stage >= Subscriptions {
			limit = p.public.ForceCloseTasks
		}
		if cancel[stage] != nil {
			cancel[stage]()
		}
		done := stopStage(running[stage], p.public)
		select {
		case err := <-done:
			errs = append(errs, err)
		case <-limit.Done():
			late = append(late, done)
		}
		p.stageStopped(stage)
		if stage == 0 {
			break
		}
	}
	for _, done := range late {
		select {
		case err := <-done:
			errs = append(errs, err)
		case <-p.public.ForceShutdown.Done():
			errs = append(errs, errors.New("some parts did not stop in time"))
		}
	}
	return errors.Join(errs...)
}

// stopStage stops the parts of one stage together. The channel gets their joined error.
func stopStage(parts []Component, p shutdown.Progress) <-chan error {
	done := make(chan error, 1)
	go func() {
		var (
			wg   sync.WaitGroup
			errs = make([]error, len(parts))
		)
		for i, c := range parts {
			if c.Stop == nil {
				continue
			}
			wg.Go(func() {
				errs[i] = guard(c.Name, func() error { return c.Stop(p) })
			})
		}
		wg.Wait()
		done <- errors.Join(errs...)
	}()
	return done
}

// Health asks every running part. The map holds those that answered with an error.
func (g *Group) Health(ctx context.Context) map[string]error {
	g.mu.Lock()
	running := g.running
	g.mu.Unlock()
	bad := map[string]error{}
	for _, parts := range running {
		for _, c := range parts {
			if c.Health == nil {
				continue
			}
			if err := guard(c.Name, func() error { return c.Health(ctx) }); err != nil {
				bad[c.Name] = err
			}
		}
	}
	return bad
}

// guard names the part in its error, and turns a panic into one.
func guard(name string, fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: panic: %v\n%s", name, r, debug.Stack())
		}
	}()
	if err := fn(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
