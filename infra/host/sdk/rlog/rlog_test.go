//go:build stockhost

package rlog

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"encore.dev/internal/applog"
	"encore.dev/internal/scope"
)

var stamp = regexp.MustCompile(`"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",`)

func TestLine(t *testing.T) {
	t.Parallel()
	s := &scope.Scope{Service: "orgs", Endpoint: "Get", UID: "u1", RequestID: "r1", TraceID: "t1"}
	for _, tc := range []struct {
		name string
		s    *scope.Scope
		ctx  Ctx
		kv   []any
		want string
	}{
		{"bare", nil, Ctx{}, nil, `"msg":"hi"`},
		{"values", nil, Ctx{}, []any{"s", "x", "n", 1, "e", errors.New("bad"), "d", 1500 * time.Microsecond, "b", true, "l", []int{1}},
			`"s":"x","n":1,"e":"bad","d":1.5,"b":true,"l":[1],"msg":"hi"`},
		{"odd key dropped", nil, Ctx{}, []any{"a", 1, "lost"}, `"a":1,"msg":"hi"`},
		{"key must be a string", nil, Ctx{}, []any{7, 1, "a", 2}, `"a":2,"msg":"hi"`},
		{"clash", nil, Ctx{}, []any{"level", "x", "service", "y"}, `"x_level":"x","x_service":"y","msg":"hi"`},
		{"scope", s, Ctx{}, []any{"a", 1}, `"service":"orgs","endpoint":"Get","uid":"u1","request_id":"r1","trace_id":"t1","a":1,"msg":"hi"`},
		{"with", nil, With("a", 1, "lost").With("b", 2), []any{"c", 3}, `"a":1,"b":2,"c":3,"msg":"hi"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			log, err := applog.New(applog.Options{Output: &out})
			if err != nil {
				t.Fatal(err)
			}
			write := func(context.Context) { tc.ctx.write(log.Info(), "hi", tc.kv) }
			if tc.s != nil {
				scope.Run(t.Context(), tc.s, write)
			} else {
				write(t.Context())
			}
			got, want := out.String(), `{"level":"info",`+tc.want+"}\n"
			if !stamp.MatchString(got) || stamp.ReplaceAllString(got, "") != want {
				t.Errorf("got %s\nwant %s and a time", got, want)
			}
		})
	}
}

func TestWithLeavesTheOriginalAlone(t *testing.T) {
	t.Parallel()
	base := With("a", 1)
	one, two := base.With("b", 2), base.With("b", 3)
	if len(base.pairs) != 2 || one.pairs[3] != 2 || two.pairs[3] != 3 {
		t.Fatalf("contexts share memory: %v %v %v", base, one, two)
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]int{"": 4, "debug": 4, "info": 3, "warn": 2, "error": 1, "off": 0} {
		var out bytes.Buffer
		log, err := applog.New(applog.Options{Output: &out, Level: level})
		if err != nil {
			t.Fatal(err)
		}
		Ctx{}.write(log.Debug(), "", nil)
		Ctx{}.write(log.Info(), "", nil)
		Ctx{}.write(log.Warn(), "", nil)
		Ctx{}.write(log.Error(), "", nil)
		if got := strings.Count(out.String(), "\n"); got != want {
			t.Errorf("level %q wrote %d lines, want %d", level, got, want)
		}
	}
	for _, o := range []applog.Options{{Level: "loud"}, {Format: "xml"}} {
		if _, err := applog.New(o); err == nil {
			t.Errorf("%+v must be refused", o)
		}
	}
}
