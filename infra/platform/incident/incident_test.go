package incident

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/incident/incidenttest"
	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5/pgconn"
)

// told connects to a Sentry of the test's own.
func told(t *testing.T) *incidenttest.Sentry {
	t.Helper()
	s := incidenttest.Start(t)
	secrets.SENTRY_DSN = s.DSN
	if err := setup(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		secrets.SENTRY_DSN = ""
		client.Swap(nil).Close()
	})
	return s
}

func TestNamesAreToldAndNothingElse(t *testing.T) {
	s := told(t)
	database := &pgconn.PgError{Code: "22P02", Message: `invalid input syntax: "canary"`, Detail: "canary", Where: "canary"}
	Send(Of(fault.Internal(fmt.Errorf("canary: select canary from orgs.projects: %w", database)), "orgs.ReadProject", "req-1", "decision-1"))
	Send(Report{Kind: Dead, Where: "audit-events", Reason: "retries_exhausted", Err: errors.New("canary@acme.test Bearer canary")})
	Flush(context.Background())
	s.Await(t, `"request_id":"req-1"`, `"decision_id":"decision-1"`, "orgs.ReadProject", "22P02", "*pgconn.PgError", `"kind":"internal_error"`)
	s.Await(t, "audit-events", "retries_exhausted", `"kind":"dead_letter"`)
	for _, e := range s.All() {
		if strings.Contains(e, "canary") || strings.Contains(e, "select") {
			t.Errorf("it tells too much: %s", e)
		}
	}
}

func TestAPanicIsToldAndGoesOn(t *testing.T) {
	s := told(t)
	recovered := func() (v any) {
		defer func() { v = recover() }()
		defer Recovered("audit-log", "req-2")
		panic("canary")
	}()
	if recovered != "canary" {
		t.Errorf("it ended with %v", recovered)
	}
	Flush(context.Background())
	if e := s.Await(t, `"kind":"panic"`, "req-2", "TestAPanicIsToldAndGoesOn"); strings.Contains(e, "canary") {
		t.Errorf("it tells too much: %s", e)
	}
}

func TestAHostsPanicIsKnownByItsStack(t *testing.T) {
	s := told(t)
	pcs := make([]uintptr, 8)
	err := &errs.Error{Code: errs.Internal, Message: "canary", Meta: errs.Metadata{"panic": pcs[:runtime.Callers(1, pcs)]}}
	Send(Of(err, "orgs.Me", "req-3", ""))
	Flush(context.Background())
	if e := s.Await(t, `"kind":"panic"`, "req-3", "TestAHostsPanicIsKnownByItsStack"); strings.Contains(e, "canary") {
		t.Errorf("it tells too much: %s", e)
	}
}

func TestAShutdownDoesNotWaitForASentryThatIsAway(t *testing.T) {
	told(t)
	Send(Report{Kind: Internal, Where: "x"})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	done := make(chan struct{})
	go func() { Flush(ctx); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("it waits")
	}
}

func TestAWrongDSNIsSaidWithoutItsKey(t *testing.T) {
	secrets.SENTRY_DSN = "https://canary@"
	t.Cleanup(func() { secrets.SENTRY_DSN = "" })
	if err := setup(); err == nil || !strings.Contains(err.Error(), "SENTRY_DSN") || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}
