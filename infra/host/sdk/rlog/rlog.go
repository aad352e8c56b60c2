// Package rlog writes log lines that say which request they belong to.
//
// A line has time, level and msg, the keys and values it was given, and inside a request its
// service, endpoint, uid, request_id and trace_id. A key that clashes with one of these is
// written with an x_ prefix. A key without a value is dropped.
package rlog

import (
	"time"

	"github.com/rs/zerolog"

	"encore.dev/internal/applog"
	"encore.dev/internal/scope"
)

// Debug writes a line of the debug level.
func Debug(msg string, keysAndValues ...any) { Ctx{}.Debug(msg, keysAndValues...) }

// Info writes a line of the info level.
func Info(msg string, keysAndValues ...any) { Ctx{}.Info(msg, keysAndValues...) }

// Warn writes a line of the warn level.
func Warn(msg string, keysAndValues ...any) { Ctx{}.Warn(msg, keysAndValues...) }

// Error writes a line of the error level.
func Error(msg string, keysAndValues ...any) { Ctx{}.Error(msg, keysAndValues...) }

// With makes a context whose lines carry the keys and values.
func With(keysAndValues ...any) Ctx { return Ctx{}.With(keysAndValues...) }

// Ctx is what several lines have in common.
type Ctx struct {
	pairs []any
}

// With adds keys and values; the original is not changed.
func (c Ctx) With(keysAndValues ...any) Ctx {
	pairs := make([]any, 0, len(c.pairs)+len(keysAndValues))
	return Ctx{pairs: append(append(pairs, c.pairs...), whole(keysAndValues)...)}
}

// Debug writes a line of the debug level.
func (c Ctx) Debug(msg string, keysAndValues ...any) {
	c.write(applog.Process().Debug(), msg, keysAndValues)
}

// Info writes a line of the info level.
func (c Ctx) Info(msg string, keysAndValues ...any) {
	c.write(applog.Process().Info(), msg, keysAndValues)
}

// Warn writes a line of the warn level.
func (c Ctx) Warn(msg string, keysAndValues ...any) {
	c.write(applog.Process().Warn(), msg, keysAndValues)
}

// Error writes a line of the error level.
func (c Ctx) Error(msg string, keysAndValues ...any) {
	c.write(applog.Process().Error(), msg, keysAndValues)
}

// write sends one line. e is nil where the level is off.
func (c Ctx) write(e *zerolog.Event, msg string, keysAndValues []any) {
	if e == nil {
		return
	}
	sc := scope.Current()
	e = applog.InScope(e, sc)
	e = add(e, sc, c.pairs)
	add(e, sc, whole(keysAndValues)).Msg(msg)
}

func whole(pairs []any) []any { return pairs[:len(pairs)&^1] }

var reserved = map[string]bool{
	"time": true, "level": true, "msg": true, "service": true, "endpoint": true,
	"uid": true, "request_id": true, "trace_id": true,
}

func add(e *zerolog.Event, sc *scope.Scope, pairs []any) *zerolog.Event {
	for i := 0; i < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			continue
		}
		if reserved[key] {
			if key == "request_id" && sc != nil && pairs[i+1] == sc.RequestID {
				continue // said already
			}
			key = "x_" + key
		}
		switch v := pairs[i+1].(type) {
		case string:
			e = e.Str(key, v)
		case int:
			e = e.Int(key, v)
		case int64:
			e = e.Int64(key, v)
		case uint64:
			e = e.Uint64(key, v)
		case float64:
			e = e.Float64(key, v)
		case bool:
			e = e.Bool(key, v)
		case error:
			e = e.AnErr(key, v)
		case time.Time:
			e = e.Time(key, v)
		case time.Duration:
			e = e.Dur(key, v)
		case []byte:
			e = e.Bytes(key, v)
		default:
			e = e.Interface(key, v)
		}
	}
	return e
}
