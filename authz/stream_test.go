package authz

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/request"
	"encore.dev/beta/errs"
)

func TestNothingStreamsBeforeADecision(t *testing.T) {
	t.Parallel()
	allowed, denied := Made{Decision: Decision{Allowed: true}}, Made{Decision: Decision{ID: "d"}}
	say := func(_ context.Context, w http.ResponseWriter) error {
		w.WriteHeader(http.StatusOK)
		_, err := io.WriteString(w, "canary")
		return err
	}
	for name, c := range map[string]struct {
		notes   []Made
		refused error
		fn      func(context.Context, http.ResponseWriter) error
		status  int
	}{
		"decided":             {notes: []Made{allowed}, fn: say, status: 200},
		"undecided":           {fn: say, status: 500},
		"denied, goes on":     {notes: []Made{allowed, denied}, fn: say, status: 500},
		"refused at the door": {refused: fault.Denied(fault.WrongAudience, ""), notes: []Made{allowed}, fn: say, status: 403},
		"an error before it begins": {notes: []Made{allowed}, status: 404, fn: func(context.Context, http.ResponseWriter) error {
			return fault.NotFound("thing")
		}},
		"text of a Go error": {notes: []Made{allowed}, status: 500, fn: func(context.Context, http.ResponseWriter) error {
			return errors.New("canary")
		}},
		"silence without a decision": {status: 500, fn: func(context.Context, http.ResponseWriter) error { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, _ := WithTrail(context.Background())
			for _, m := range c.notes {
				Note(ctx, m)
			}
			if c.refused != nil {
				ctx = request.Refuse(ctx, c.refused)
			}
			w := httptest.NewRecorder()
			Stream(w, httptest.NewRequest("GET", "/", nil).WithContext(ctx), c.fn)
			if w.Code != c.status || strings.Contains(w.Body.String(), "canary") != (c.status == 200) {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, c.status)
			}
		})
	}
}

func TestARefusedStreamSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[int]string{0: "", 7: "7"} {
		refused := &errs.Error{Code: errs.ResourceExhausted, Details: fault.Details{Reason: fault.RateLimited, RetryAfter: seconds}}
		w := httptest.NewRecorder()
		Stream(w, httptest.NewRequest("GET", "/", nil).WithContext(request.Refuse(t.Context(), refused)), nil)
		if got := w.Header().Get("Retry-After"); w.Code != http.StatusTooManyRequests || got != want {
			t.Errorf("%d: Retry-After %q, want %q", w.Code, got, want)
		}
	}
}

func TestAStreamThatFailsHalfWayBreaksOff(t *testing.T) {
	t.Parallel()
	ctx, _ := WithTrail(context.Background())
	Note(ctx, Made{Decision: Decision{Allowed: true}})
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("got %v", p)
		}
	}()
	Stream(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx), func(_ context.Context, w http.ResponseWriter) error {
		if _, err := io.WriteString(w, "half"); err != nil {
			return err
		}
		return errors.New("the database went away")
	})
}
