//go:build stockhost

package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"encore.dev/beta/errs"
	"encore.dev/types/option"
)

type richResp struct {
	Status  int                `encore:"httpstatus"`
	ETag    string             `header:"ETag"`
	Cookies []string           `header:"Set-Cookie"`
	Left    int                `header:"X-Left"`
	At      time.Time          `header:"X-At"`
	Next    option.Option[int] `header:"X-Next"`
	Absent  option.Option[int] `header:"X-Absent"`
	B       map[string]int     `json:"b"`
	A       string             `json:"a"`
	List    []string           `json:"list"`
	hidden  string
}

func TestResponses(t *testing.T) {
	t.Parallel()
	type plain struct {
		Text string  `json:"text"`
		F    float64 `json:"f,omitzero"`
	}
	a := newApp(t,
		typed("GET", "/plain", func(context.Context, []any, *none) (*plain, error) { return &plain{Text: "<&> é"}, nil }),
		typed("GET", "/nil", func(context.Context, []any, *none) (*plain, error) { return nil, nil }),
		typed("GET", "/void", func(context.Context, []any, *none) (*none, error) { return nil, nil }),
		typed("GET", "/nan", func(context.Context, []any, *none) (*plain, error) { return &plain{F: math.NaN()}, nil }),
		typed("GET", "/long", func(context.Context, []any, *none) (*plain, error) {
			return &plain{Text: strings.Repeat("x", 5000)}, nil
		}),
		typed("GET", "/rich", func(context.Context, []any, *none) (*richResp, error) {
			return &richResp{
				Status: 201, ETag: `"1"`, Cookies: []string{"a=1", "b=2"}, At: time.Unix(0, 0).UTC(), Next: option.Some(7),
				B: map[string]int{"z": 1, "y": 2}, A: "x", hidden: "h",
			}, nil
		}),
		typed("GET", "/gone", func(context.Context, []any, *none) (*richResp, error) { return &richResp{Status: 204}, nil }),
		typed("GET", "/odd", func(context.Context, []any, *none) (*richResp, error) { return &richResp{Status: 42}, nil }),
		typed("GET", "/zero", func(context.Context, []any, *none) (*richResp, error) { return &richResp{}, nil }),
	)
	for _, tc := range []struct {
		path   string
		status int
		kind   string
		body   string
	}{
		{"/plain", 200, "application/json", `{"text":"<&> é"}` + "\n"},
		{"/nil", 200, "application/json", "null\n"},
		{"/void", 200, "", ""},
		{"/rich", 201, "application/json", `{"b":{"y":2,"z":1},"a":"x","list":null}` + "\n"},
		{"/gone", 204, "", ""},
		{"/zero", 200, "application/json", `{"b":null,"a":"","list":null}` + "\n"},
		{"/nan", 500, "application/json", `{"code":"internal","message":"an internal error occurred","details":{"reason":"internal","request_id":"r"}}` + "\n"},
		{"/odd", 500, "application/json", `{"code":"internal","message":"an internal error occurred","details":{"reason":"internal","request_id":"r"}}` + "\n"},
	} {
		got := a.do("GET", tc.path, "", "X-Request-ID: r")
		if got.status != tc.status || got.body != tc.body || got.header.Get("Content-Type") != tc.kind {
			t.Errorf("%s: %d %q %q", tc.path, got.status, got.header.Get("Content-Type"), got.body)
		}
		if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("X-Request-ID") != "r" {
			t.Errorf("%s: headers %v", tc.path, got.header)
		}
	}
	h := a.do("GET", "/rich", "").header
	if h.Get("ETag") != `"1"` && h["Etag"][0] != `"1"` || len(h["Set-Cookie"]) != 2 || h.Get("X-Left") != "0" ||
		h.Get("X-At") != "1970-01-01T00:00:00Z" || h.Get("X-Next") != "7" || h["X-Absent"] != nil {
		t.Errorf("header fields: %v", h)
	}
	if got := a.do("GET", "/long", ""); got.header.Get("Content-Length") != fmt.Sprint(len(got.body)) {
		t.Errorf("length %s of %d", got.header.Get("Content-Length"), len(got.body))
	}
}

type unencodable struct{ F func() }

func (unencodable) ErrDetails() {}

func TestErrorsDoNotLeak(t *testing.T) {
	t.Parallel()
	secret := errors.New("pq: password=hunter2")
	boom := func(err error) func(context.Context, []any, *none) (*none, error) {
		return func(context.Context, []any, *none) (*none, error) { return nil, err }
	}
	app := errs.B().Code(errs.NotFound).Msg("no such org").Meta("dsn", "hunter2").Cause(secret).Err()
	a := newApp(t,
		typed("GET", "/plain", boom(secret)),
		typed("GET", "/wrapped", boom(fmt.Errorf("hunter2: %w", app))),
		typed("GET", "/app", boom(app)),
		typed("GET", "/wrap", boom(errs.Wrap(secret, "store"))),
		typed("GET", "/convert", boom(errs.Convert(secret))),
		typed("GET", "/details", boom(errs.B().Code(errs.Aborted).Msg("m").Details(unencodable{}).Err())),
		typed("GET", "/panic", func(context.Context, []any, *none) (*none, error) { panic(secret) }),
		typed("GET", "/nil", func(context.Context, []any, *none) (*none, error) { return nil, (*none)(nil).fail() }),
	)
	const generic = `"message":"an internal error occurred","details":{"reason":"internal","request_id":"r"}}`
	for path, want := range map[string]string{
		"/plain":   `500 {"code":"unknown",` + generic,
		"/convert": `500 {"code":"unknown",` + generic,
		"/panic":   `500 {"code":"internal",` + generic,
		"/nil":     `500 {"code":"internal",` + generic,
		"/app":     `404 {"code":"not_found","message":"no such org","details":null}`,
		"/wrapped": `404 {"code":"not_found","message":"no such org","details":null}`,
		"/wrap":    `500 {"code":"unknown","message":"store","details":null}`,
		"/details": `409 {"code":"aborted","message":"m","details":null}`,
	} {
		got := a.do("GET", path, "", "X-Request-ID: r")
		if text := fmt.Sprintf("%d %s", got.status, strings.TrimSpace(got.body)); text != want {
			t.Errorf("%s: %s\nwant %s", path, text, want)
		}
	}
	out := a.log.String()
	if n := strings.Count(out, "hunter2"); n != 3 { // plain, convert, panic: once each
		t.Errorf("the real error is in the log %d times:\n%s", n, out)
	}
	if !strings.Contains(out, "response_test.go") || !strings.Contains(out, `"endpoint":"GET /panic"`) || !strings.Contains(out, `"request_id":"r"`) {
		t.Errorf("a panic is logged with its stack and request:\n%s", out)
	}
}

func (n *none) fail() error { panic(fmt.Sprint(n == nil)) }

func TestIDs(t *testing.T) {
	t.Parallel()
	a := newApp(t, typed("GET", "/x", func(context.Context, []any, *none) (*none, error) { return nil, nil }))
	for given, kept := range map[string]bool{
		"abc-1.2_3~Z": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "a b": false, "a\"b": false, "é": false, "a/b": false,
	} {
		got := a.do("GET", "/x", "", "X-Request-ID: "+given).header.Get("X-Request-ID")
		if (got == given) != kept || (!kept && len(got) != 32) {
			t.Errorf("%q became %q", given, got)
		}
	}
	one, two := a.do("GET", "/x", "").header.Get("X-Request-ID"), a.do("GET", "/x", "").header.Get("X-Request-ID")
	if len(one) != 32 || one == two {
		t.Errorf("generated ids %q and %q", one, two)
	}
	if got := a.do("GET", "/x", "", "X-Correlation-ID: c1").header.Get("X-Correlation-ID"); got != "c1" {
		t.Errorf("correlation id %q", got)
	}
	if got := a.do("GET", "/nothing", ""); len(got.header.Get("X-Request-ID")) != 32 || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers of a 404: %v", got.header)
	}
}

func TestTraceparent(t *testing.T) {
	t.Parallel()
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for value, ok := range map[string]bool{
		"00-" + trace + "-" + span + "-01":                    true,
		"00-" + trace + "-" + span + "-00":                    true,
		"cc-" + trace + "-" + span + "-01-extra":              true,
		"00-" + trace + "-" + span + "-01-extra":              false,
		"ff-" + trace + "-" + span + "-01":                    false,
		"00-" + strings.Repeat("0", 32) + "-" + span + "-01":  false,
		"00-" + trace + "-" + strings.Repeat("0", 16) + "-01": false,
		"00-" + strings.ToUpper(trace) + "-" + span + "-01":   false,
		"00-" + trace + "-" + span + "-0":                     false,
		"":                                                    false,
	} {
		var c call
		c.identify(readHeader(http.Header{"Traceparent": {value}}))
		if (c.trace.ParentSpanID == span && c.scope.TraceID == trace) != ok || c.trace.Recorded != (ok && strings.Contains(value, "-01")) {
			t.Errorf("%q: %+v", value, c.trace)
		}
		if len(c.trace.SpanID) != 16 || len(c.trace.TraceID) != 32 {
			t.Errorf("%q: ids %+v", value, c.trace)
		}
	}
}
