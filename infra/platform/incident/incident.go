// Package incident tells Sentry what somebody should look at: panics, answers that say "internal", and
// work that was given up. It is off unless SENTRY_DSN names a project.
//
// What is told are names, ids and kinds: the route, the request, the decision, the chain of the error's
// types, the SQLSTATE, where a panic came from. Never the text of an error, a statement, a header, a
// body or an address: the log line with the same request id has the text, and stays in the house.
package incident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	encore "encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/rlog"
	"github.com/getsentry/sentry-go"
	"github.com/jackc/pgx/v5/pgconn"
)

var secrets struct {
	// SENTRY_DSN names the project; unset is off.
	SENTRY_DSN string //host:optional
}

// client is nil while nobody is told.
var client atomic.Pointer[sentry.Client]

// Setup connects, if there is somebody to tell. Services call it as they start; one of them does.
var Setup = sync.OnceValue(setup)

func setup() error {
	if secrets.SENTRY_DSN == "" {
		return nil
	}
	meta := encore.Meta()
	c, err := sentry.NewClient(sentry.ClientOptions{
		Dsn:         secrets.SENTRY_DSN,
		Environment: meta.Environment.Name,
		Release:     cmp.Or(meta.Build.Revision, "unknown"), // or the library asks git
		ServerName:  "tenantry",                             // else the machine's
		// None of those that look at the process, its sources or its environment.
		Integrations: func([]sentry.Integration) []sentry.Integration { return nil },
	})
	if err != nil { // its text repeats the DSN, key and all
		return errors.New("incident: SENTRY_DSN is not a DSN (https://key@host/project)")
	}
	client.Store(c)
	return nil
}

// Kind is what sort of thing happened.
type Kind string

// The kinds.
const (
	Panic    Kind = "panic"
	Internal Kind = "internal_error"
	Dead     Kind = "dead_letter"
)

// Report is what is told. Where is the route or the queue; RequestID and DecisionID may be unknown.
type Report struct {
	Kind       Kind
	Where      string
	RequestID  string
	DecisionID string
	Reason     string // of a dead letter
	Err        error
	stack      []uintptr
}

// Send tells of r without waiting. A full queue drops it; the log has it.
func Send(r Report) {
	if c := client.Load(); c != nil {
		c.CaptureEvent(r.event(), nil, nil)
	}
}

// Of is the report of a request that failed. A host that turns a panic into an error keeps where it was
// in the error's metadata, as program counters; what then arrives here is the panic.
func Of(err error, where, requestID, decisionID string) Report {
	r := Report{Kind: Internal, Where: where, RequestID: requestID, DecisionID: decisionID, Err: err}
	var e *errs.Error
	if errors.As(err, &e) {
		for _, v := range e.Meta {
			switch v := v.(type) {
			case []uintptr:
				r.Kind, r.stack = Panic, v
			case error:
				r.Err = v
			}
		}
	}
	return r
}

// Recovered tells of a panic on its way, and lets it go on. It is for a defer in work that no middleware
// surrounds.
func Recovered(where, requestID string) {
	v := recover()
	if v == nil {
		return
	}
	err, ok := v.(error)
	if !ok {
		err = fmt.Errorf("%T", v)
	}
	pcs := make([]uintptr, 64)
	Send(Report{Kind: Panic, Where: where, RequestID: requestID, Err: err, stack: pcs[:runtime.Callers(3, pcs)]})
	panic(v)
}

// flushWithin is how long a shutdown waits at most for what was not sent.
const flushWithin = 2 * time.Second

// Flush sends what has not been sent, and waits for it no longer than ctx or two seconds.
func Flush(ctx context.Context) {
	c := client.Load()
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushWithin)
	defer cancel()
	if !c.FlushWithContext(ctx) {
		rlog.Warn("some incidents were not reported")
	}
}

func (r Report) event() *sentry.Event {
	kinds, state := chain(r.Err)
	e := sentry.NewEvent()
	e.Level, e.Transaction, e.Logger = sentry.LevelError, r.Where, string(r.Kind)
	e.Fingerprint = []string{string(r.Kind), r.Where, r.Reason, kinds, state}
	for name, value := range map[string]string{
		"kind": string(r.Kind), "where": r.Where, "request_id": r.RequestID, "decision_id": r.DecisionID,
		"reason": r.Reason, "sqlstate": state,
	} {
		if value != "" {
			e.Tags[name] = value
		}
	}
	e.Exception = []sentry.Exception{{Type: string(r.Kind), Value: strings.TrimSpace(kinds + " " + state), Stacktrace: trace(r.stack)}}
	return e
}

// chain is the types that err is made of, from the outside in, and the SQLSTATE in it.
func chain(err error) (kinds, state string) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		state = pg.Code
	}
	var names []string
	for ; err != nil && len(names) < 16; err = errors.Unwrap(err) {
		names = append(names, fmt.Sprintf("%T", err))
	}
	return strings.Join(names, " > "), state
}

func trace(pcs []uintptr) *sentry.Stacktrace {
	if len(pcs) == 0 {
		return nil
	}
	var out []sentry.Frame
	frames := runtime.CallersFrames(pcs)
	for {
		f, more := frames.Next()
		out = append([]sentry.Frame{sentry.NewFrame(f)}, out...) // Sentry wants the latest call last
		if !more {
			return &sentry.Stacktrace{Frames: out}
		}
	}
}
