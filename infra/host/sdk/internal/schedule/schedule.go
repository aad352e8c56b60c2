// Package schedule runs jobs at their times, once per tick however many
// replicas run: whoever gets the job's lease in the [Store] runs it, and the
// others see that it is done.
//
// A tick that nobody was there for runs once when somebody is, and only the
// last of several. A job that outlives its next tick swallows it. If a process
// dies while it runs a job, another runs the same tick again once the lease has
// passed, so a job must be idempotent; the tick identifies the run.
package schedule

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule says when a job is due.
type Schedule interface {
	// Next is the first tick after t.
	Next(t time.Time) time.Time
}

// Every is due at each multiple of d since midnight UTC. Like a schedule in
// cron syntax it knows no fraction of a minute, and it must divide a day.
func Every(d time.Duration) (Schedule, error) {
	if d < time.Minute || d%time.Minute != 0 || (24*time.Hour)%d != 0 {
		return nil, fmt.Errorf("an interval of %s is not whole minutes that divide 24 hours", d)
	}
	return interval(d), nil
}

type interval time.Duration

// Next counts from Go's zero time, which is a midnight UTC.
func (i interval) Next(t time.Time) time.Time {
	return t.UTC().Truncate(time.Duration(i)).Add(time.Duration(i))
}

// Parse reads a schedule of five cron fields in UTC.
func Parse(spec string) (Schedule, error) {
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	s, err := parser.Parse("CRON_TZ=UTC " + spec)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w", spec, err)
	}
	if s.Next(time.Now()).IsZero() {
		return nil, fmt.Errorf("schedule %q is never due", spec)
	}
	return s, nil
}

// latest is the last tick after last and not after now; zero if there is none.
func latest(s Schedule, last, now time.Time) time.Time {
	var tick time.Time
	for t := s.Next(last); !t.IsZero() && !t.After(now); t = s.Next(t) {
		tick = t
	}
	return tick
}
