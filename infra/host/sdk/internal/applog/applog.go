// Package applog makes the process's logger: JSON lines on standard error, or coloured text
// where that is a terminal. LOG_LEVEL (debug, info, warn, error, off) and LOG_FORMAT (json,
// console) decide.
package applog

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"encore.dev/internal/scope"
)

func init() {
	zerolog.MessageFieldName = "msg"
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	zerolog.TimestampFunc = func() time.Time { return time.Now().UTC() }
}

// Options are the settings of a logger.
type Options struct {
	Output io.Writer
	Level  string // "" is debug
	Format string // "" is console on a terminal, else json
}

// New makes a logger. A setting that it does not know is an error, and the logger then takes the default.
func New(o Options) (zerolog.Logger, error) {
	var wrong error
	out := o.Output
	switch o.Format {
	case "console":
		out = console(out)
	case "json":
	case "":
		if f, ok := out.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
			out = console(out)
		}
	default:
		wrong = fmt.Errorf("LOG_FORMAT is %q; it must be json or console", o.Format)
	}
	level, ok := levels[o.Level]
	if !ok {
		wrong = fmt.Errorf("LOG_LEVEL is %q; it must be debug, info, warn, error or off", o.Level)
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger(), wrong
}

var levels = map[string]zerolog.Level{
	"": zerolog.DebugLevel, "trace": zerolog.TraceLevel, "debug": zerolog.DebugLevel, "info": zerolog.InfoLevel,
	"warn": zerolog.WarnLevel, "error": zerolog.ErrorLevel, "off": zerolog.Disabled,
}

func console(out io.Writer) io.Writer {
	return zerolog.ConsoleWriter{Out: out, TimeFormat: "15:04:05.000"}
}

var process = sync.OnceValues(func() (zerolog.Logger, error) {
	return New(Options{Output: os.Stderr, Level: os.Getenv("LOG_LEVEL"), Format: os.Getenv("LOG_FORMAT")})
})

// Process gives the process's logger.
func Process() *zerolog.Logger {
	l, _ := process()
	return &l
}

// Check reports settings of the process's logger that are wrong.
func Check() error {
	_, err := process()
	return err
}

// InScope adds what the line was written for.
func InScope(e *zerolog.Event, s *scope.Scope) *zerolog.Event {
	if s == nil {
		return e
	}
	for _, f := range [...]struct{ key, value string }{
		{"service", s.Service}, {"endpoint", s.Endpoint}, {"uid", s.Caller().UID},
		{"request_id", s.RequestID}, {"trace_id", s.TraceID},
	} {
		if f.value != "" {
			e = e.Str(f.key, f.value)
		}
	}
	return e
}
