package cron

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"encore.dev/internal/db"
	"encore.dev/internal/lifecycle"
	"encore.dev/internal/schedule"
	"encore.dev/shutdown"
)

// process holds the jobs of this process's packages.
var process jobs

func init() {
	var s scheduler
	lifecycle.Add(lifecycle.Component{
		Name:  "cron jobs",
		Stage: lifecycle.Crons,
		Roles: lifecycle.Scheduler,
		Start: func(context.Context) error { return s.start(&process) },
		Stop:  s.stop,
	})
}

// scheduler runs an app's jobs while the process does.
type scheduler struct {
	mu     sync.Mutex
	runner *schedule.Runner
}

func (s *scheduler) start(j *jobs) error {
	plan, err := j.plan()
	if err != nil || len(plan) == 0 {
		return err
	}
	var store schedule.Store = &schedule.Memory{}
	if h := db.First(); h != nil {
		store = schedule.NewPostgres(h.Pool(), uuid.NewString())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runner = schedule.NewRunner(schedule.Config{Jobs: plan, Store: store})
	s.runner.Start()
	return nil
}

func (s *scheduler) stop(p shutdown.Progress) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runner == nil {
		return nil
	}
	return s.runner.Stop(p.ForceCloseTasks, p.ForceShutdown)
}
