//go:build stockhost

package errs

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
)

type hint struct {
	Reason string `json:"reason"`
}

func (hint) ErrDetails() {}

func TestCodeTable(t *testing.T) {
	t.Parallel()
	if len(codes) != 17 {
		t.Fatalf("%d codes", len(codes))
	}
	for c := OK; c <= Unauthenticated; c++ {
		if c.String() == "" || c.HTTPStatus() == 0 {
			t.Errorf("code %d has no name or status", c)
		}
	}
	if ErrCode(99).String() != "unknown" || ErrCode(-1).HTTPStatus() != 500 {
		t.Error("a code out of range must be unknown")
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	inner := B().Code(NotFound).Msg("no such org").Details(hint{"not_found"}).Meta("org", 1).Err()
	for _, tc := range []struct {
		name string
		err  error
		code ErrCode
		text string
		det  ErrDetails
		meta int
	}{
		{"plain", Wrap(io.EOF, "read"), Unknown, "unknown: read: EOF", nil, 0},
		{"keeps", Wrap(inner, "load", "k", 2, "odd"), NotFound, "not_found: load: no such org", hint{"not_found"}, 2},
		{"through fmt", Wrap(fmt.Errorf("x: %w", inner), "load"), NotFound, "not_found: load: x: not_found: no such org", hint{"not_found"}, 1},
		{"code", WrapCode(inner, Internal, "load"), Internal, "internal: load: no such org", hint{"not_found"}, 1},
		{"builder takes from cause", B().Cause(inner).Msg("m").Err(), NotFound, "not_found: m: no such org", hint{"not_found"}, 1},
		{"builder overrides cause", B().Cause(inner).Code(Aborted).Details(nil).Msg("m").Err(), Aborted, "aborted: m: no such org", nil, 1},
		{"builder empty", B().Err(), Unknown, "unknown: unknown error", nil, 0},
		{"builder ok", B().Code(OK).Msgf("n %d", 1).Err(), Unknown, "unknown: n 1", nil, 0},
		{"convert plain", Convert(io.EOF), Unknown, "unknown: EOF", nil, 0},
		{"convert wrapped", Convert(fmt.Errorf("x: %w", inner)), NotFound, "", hint{"not_found"}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := Code(tc.err); got != tc.code {
				t.Errorf("code %v, want %v", got, tc.code)
			}
			if tc.text != "" && tc.err.Error() != tc.text {
				t.Errorf("text %q, want %q", tc.err.Error(), tc.text)
			}
			if got := Details(tc.err); got != tc.det {
				t.Errorf("details %v, want %v", got, tc.det)
			}
			if got := Meta(tc.err); len(got) != tc.meta {
				t.Errorf("meta %v, want %d", got, tc.meta)
			}
		})
	}
	if !errors.Is(Wrap(io.EOF, "read"), io.EOF) {
		t.Error("Wrap hides the cause from errors.Is")
	}
	if len(Meta(inner)) != 1 {
		t.Error("Wrap changed the metadata of what it wrapped")
	}
}

func TestNil(t *testing.T) {
	t.Parallel()
	if Wrap(nil, "x") != nil || WrapCode(nil, Internal, "x") != nil || WrapCode(io.EOF, OK, "x") != nil || Convert(nil) != nil {
		t.Error("nil and OK must stay nil")
	}
	if Code(nil) != OK || Meta(nil) != nil || Details(nil) != nil || Code(io.EOF) != Unknown {
		t.Error("nil is OK, plain errors are unknown")
	}
}

func TestHTTPError(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err    error
		status int
		body   string
	}{
		{nil, 200, `{"code":"ok","message":"","details":null}`},
		{B().Code(NotFound).Msg("<no>").Details(hint{"x"}).Meta("secret", "s").Err(), 404, `{"code":"not_found","message":"<no>","details":{"reason":"x"}}`},
		{errors.New("pq: password=hunter2"), 500, `{"code":"unknown","message":"an internal error occurred","details":null}`},
		{Wrap(errors.New("pq: password=hunter2"), "store"), 500, `{"code":"unknown","message":"store","details":null}`},
	} {
		w := httptest.NewRecorder()
		HTTPError(w, tc.err)
		if got := strings.TrimSpace(w.Body.String()); w.Code != tc.status || got != tc.body {
			t.Errorf("%v: %d %s\nwant %d %s", tc.err, w.Code, got, tc.status, tc.body)
		}
	}
}
