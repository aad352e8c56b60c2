// Package instance keeps the one service struct that each service has.
package instance

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"encore.dev/internal/registry"
	"encore.dev/internal/scope"
	"encore.dev/shutdown"
)

// Set holds the service structs of one app. A struct is made the first time it is asked for: at
// the start of a running app, by the first test that needs it otherwise.
type Set struct {
	registry *registry.Registry
	all      sync.Map // service name → *entry
}

type entry struct {
	once  sync.Once
	begun atomic.Bool
	done  atomic.Bool
	value any
	err   error
}

// NewSet makes the set of an app.
func NewSet(r *registry.Registry) *Set { return &Set{registry: r} }

// Get gives the service struct of a service; nil if it has none.
func (s *Set) Get(service string) (any, error) {
	v, ok := s.all.Load(service)
	if !ok {
		v, _ = s.all.LoadOrStore(service, new(entry))
	}
	e := v.(*entry)
	if e.done.Load() {
		return e.value, e.err
	}
	if sc := scope.Current(); e.begun.Load() && sc != nil && sc.Req == nil && sc.Service == service {
		return nil, fmt.Errorf("service %s calls itself while it is initialised", service)
	}
	e.once.Do(func() {
		e.begun.Store(true)
		e.value, e.err = s.init(service)
		e.done.Store(true)
	})
	return e.value, e.err
}

func (s *Set) init(service string) (value any, err error) {
	svc := s.registry.Service(service)
	if svc == nil {
		return nil, fmt.Errorf("there is no service %s", service)
	}
	if svc.Init == nil {
		return nil, nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("service %s: panic while it was initialised: %v\n%s", service, r, debug.Stack())
		}
	}()
	scope.Run(context.Background(), &scope.Scope{Service: service}, func(context.Context) {
		value, err = svc.Init()
	})
	if err != nil {
		return nil, fmt.Errorf("service %s: %w", service, err)
	}
	return value, nil
}

// Stop calls a service's Shutdown, if it has one and its struct was made.
func (s *Set) Stop(service string, p shutdown.Progress) error {
	svc := s.registry.Service(service)
	v, ok := s.all.Load(service)
	if svc == nil || svc.Shutdown == nil || !ok {
		return nil
	}
	e := v.(*entry)
	if !e.done.Load() || e.err != nil {
		return nil
	}
	var err error
	scope.Run(context.Background(), &scope.Scope{Service: service}, func(context.Context) {
		err = svc.Shutdown(e.value, p)
	})
	return err
}
