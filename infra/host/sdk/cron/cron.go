package cron

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"time"

	"encore.dev"
	"encore.dev/host"
	"encore.dev/internal/db"
	"encore.dev/internal/registry"
	"encore.dev/internal/schedule"
	"encore.dev/internal/scope"
)

// Duration is the time between two runs, in seconds.
type Duration int64

const (
	Minute Duration = 60
	Hour   Duration = 60 * Minute
)

// JobConfig configures a job. One of Every and Schedule is set.
type JobConfig struct {
	Title string

	// Endpoint is a func(context.Context) error or a func(context.Context) (T, error).
	Endpoint any

	// Every is the time between two runs: whole minutes that divide 24 hours, counted from midnight UTC.
	Every Duration

	// Schedule has the five fields of cron, in UTC.
	Schedule string
}

// Job is a declared job.
type Job struct {
	ID       string
	Title    string
	Every    Duration
	Schedule string
	Endpoint any
}

// NewJob declares a job. It is for package variables.
func NewJob(id string, jobConfig JobConfig) *Job {
	job := &Job{ID: id, Title: jobConfig.Title, Every: jobConfig.Every, Schedule: jobConfig.Schedule, Endpoint: jobConfig.Endpoint}
	process.add(job)
	db.NeedTable(schedule.Table)
	return job
}

// jobs are what an app declared.
type jobs struct {
	mu   sync.Mutex
	list []*Job
}

func (j *jobs) add(job *Job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, job)
}

// plan makes runnable jobs of the declarations, or says what is wrong with them.
func (j *jobs) plan() ([]schedule.Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var (
		plan []schedule.Job
		errs []error
		seen = map[string]bool{}
	)
	for _, job := range j.list {
		p, err := job.plan()
		if seen[job.ID] {
			err = errors.Join(err, errors.New("it is declared twice"))
		}
		seen[job.ID] = true
		if err != nil {
			errs = append(errs, fmt.Errorf("cron job %q: %w", job.ID, err))
			continue
		}
		plan = append(plan, p)
	}
	return plan, errors.Join(errs...)
}

func (job *Job) plan() (schedule.Job, error) {
	var when schedule.Schedule
	var err error
	switch {
	case (job.Every == 0) == (job.Schedule == ""):
		err = errors.New("one of Every and Schedule must be set")
	case job.Schedule != "":
		when, err = schedule.Parse(job.Schedule)
	default:
		when, err = schedule.Every(time.Duration(job.Every) * time.Second)
	}
	if err != nil {
		return schedule.Job{}, err
	}
	run, err := target(job.Endpoint)
	if err != nil {
		return schedule.Job{}, err
	}
	return schedule.Job{ID: job.ID, Schedule: when, Run: func(ctx context.Context, tick time.Time) (err error) {
		scope.Run(ctx, job.scope(tick), func(ctx context.Context) { err = run(ctx) })
		return err
	}}, nil
}

// scope is what a run works for. The key is the same if the tick is run again.
func (job *Job) scope(tick time.Time) *scope.Scope {
	return &scope.Scope{
		Endpoint: "cron." + job.ID,
		Req: &encore.Request{
			Type:               encore.APICall,
			Started:            time.Now(),
			CronIdempotencyKey: job.ID + "/" + tick.UTC().Format(time.RFC3339),
		},
	}
}

var (
	ctxType = reflect.TypeFor[context.Context]()
	errType = reflect.TypeFor[error]()
)

// target turns an endpoint function into what runs it. One that the app has
// registered is called as a service would call it, so that middleware sees it.
func target(endpoint any) (func(context.Context) error, error) {
	f := reflect.ValueOf(endpoint)
	if f.Kind() != reflect.Func || f.IsNil() {
		return nil, errors.New("its endpoint is no function")
	}
	t := f.Type()
	outs := t.NumOut()
	if t.NumIn() != 1 || t.In(0) != ctxType || outs < 1 || outs > 2 || t.Out(outs-1) != errType {
		return nil, fmt.Errorf("its endpoint is a %s; it must be a func(context.Context) error, or one with another result before the error", t)
	}
	if e := registered(f); e != nil {
		return func(ctx context.Context) error {
			_, err := host.Call(ctx, e.Service, e.Name, nil, nil)
			return err
		}, nil
	}
	return func(ctx context.Context) error {
		err, _ := f.Call([]reflect.Value{reflect.ValueOf(ctx)})[outs-1].Interface().(error)
		return err
	}, nil
}

// registered finds the endpoint that a function is, by its package and name. A
// method's endpoint is named through a function of the same name.
func registered(f reflect.Value) *registry.Endpoint {
	symbol := runtime.FuncForPC(f.Pointer()).Name() // example.com/app/orgs.Sweep
	for _, e := range registry.Process().Endpoints() {
		s := registry.Process().Service(e.Service)
		if s == nil {
			continue
		}
		if pkg, ok := strings.CutSuffix(symbol, "."+e.Name); ok && pkg == s.Package {
			return e
		}
	}
	return nil
}
