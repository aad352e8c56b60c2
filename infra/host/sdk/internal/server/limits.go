package server

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Limits bound what a request may cost. A field that is 0 takes its default.
type Limits struct {
	ReadHeader time.Duration // HOST_READ_HEADER_TIMEOUT
	Read       time.Duration // HOST_READ_TIMEOUT
	Write      time.Duration // HOST_WRITE_TIMEOUT
	Idle       time.Duration // HOST_IDLE_TIMEOUT
	Handler    time.Duration // HOST_HANDLER_TIMEOUT
	Body       int64         // HOST_BODY_LIMIT, in bytes
}

// Defaults of [Limits].
const (
	defaultReadHeader = 5 * time.Second
	defaultRead       = 15 * time.Second
	defaultWrite      = 30 * time.Second
	defaultIdle       = 120 * time.Second
	defaultHandler    = 30 * time.Second
	defaultBody       = 1 << 20

	// maxHeader bounds the header of a request.
	maxHeader = 32 << 10
)

func (l Limits) orDefaults() Limits {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&l.ReadHeader, defaultReadHeader}, {&l.Read, defaultRead}, {&l.Write, defaultWrite},
		{&l.Idle, defaultIdle}, {&l.Handler, defaultHandler},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if l.Body == 0 {
		l.Body = defaultBody
	}
	return l
}

// LimitsFromEnv reads the limits that the environment sets.
func LimitsFromEnv(getenv func(string) string) (Limits, error) {
	var (
		l     Limits
		wrong []error
	)
	for name, v := range map[string]*time.Duration{
		"HOST_READ_HEADER_TIMEOUT": &l.ReadHeader, "HOST_READ_TIMEOUT": &l.Read, "HOST_WRITE_TIMEOUT": &l.Write,
		"HOST_IDLE_TIMEOUT": &l.Idle, "HOST_HANDLER_TIMEOUT": &l.Handler,
	} {
		text := getenv(name)
		if text == "" {
			continue
		}
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			wrong = append(wrong, fmt.Errorf("%s is %q; it must be a duration like 15s", name, text))
		}
		*v = d
	}
	if text := getenv("HOST_BODY_LIMIT"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n <= 0 {
			wrong = append(wrong, fmt.Errorf("HOST_BODY_LIMIT is %q; it must be a number of bytes", text))
		}
		l.Body = n
	}
	return l, errors.Join(wrong...)
}
