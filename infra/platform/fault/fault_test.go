package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"encore.dev/beta/errs"
)

func TestFinishMakesAnyErrorFitToLeave(t *testing.T) {
	t.Parallel()
	secret := errors.New("canary: relation does not exist")
	for name, c := range map[string]struct {
		err    error
		code   errs.ErrCode
		reason Reason
	}{
		"plain":             {secret, errs.Internal, InternalReason},
		"wrapped plain":     {fmt.Errorf("orgs: %w", secret), errs.Internal, InternalReason},
		"a client gone":     {fmt.Errorf("orgs: %w", context.Canceled), errs.Canceled, CanceledReason},
		"out of time":       {Internal(context.DeadlineExceeded), errs.DeadlineExceeded, DeadlineExceeded},
		"internal":          {Internal(secret), errs.Internal, InternalReason},
		"unavailable":       {Unavailable("cerbos", secret), errs.Unavailable, DependencyUnavailable},
		"wrapped fault":     {fmt.Errorf("orgs: %w", NotFound("project")), errs.NotFound, NotFoundReason},
		"denied":            {Denied(MFARequired, "d"), errs.PermissionDenied, MFARequired},
		"a bare errs.Error": {&errs.Error{Code: errs.InvalidArgument, Message: "m"}, errs.InvalidArgument, ValidationFailed},
	} {
		got := Finish(c.err, "req")
		d := DetailsOf(got)
		if got.Code != c.code || d.Reason != c.reason || d.RequestID != "req" {
			t.Errorf("%s: got %v %+v", name, got.Code, d)
		}
		if got.Message == "" || strings.Contains(got.Message, "canary") {
			t.Errorf("%s: message %q", name, got.Message)
		}
	}
	if !errors.Is(Cause(Internal(secret)), secret) || Cause(NotFound("x")) != nil {
		t.Error("the cause is for the log")
	}
}

func TestFinishLeavesASharedErrorAlone(t *testing.T) {
	t.Parallel()
	shared := NotFound("project")
	first, second := Finish(shared, "one"), Finish(shared, "two")
	if DetailsOf(shared).RequestID != "" || DetailsOf(first).RequestID != "one" || DetailsOf(second).RequestID != "two" {
		t.Errorf("got %+v, %+v, %+v", shared, first, second)
	}
}

func TestEveryDenialSaysSomething(t *testing.T) {
	t.Parallel()
	for reason := range denials {
		if Denied(reason, "").Message == "" {
			t.Errorf("%s has no sentence", reason)
		}
	}
	if Denied("a reason of a newer policy", "").Message == "" {
		t.Error("an unknown reason has no sentence")
	}
}

func TestChecksNameEveryField(t *testing.T) {
	t.Parallel()
	var c Checks
	c.Text("a", " ", 5)
	c.Text("b", "abcdef", 5)
	c.Text("c", "a\x00b", 5)
	c.Text("d", "héllo", 5)
	c.OneOf("e", "x", "y", "z")
	c.OneOf("f", "y", "y", "z")
	d := DetailsOf(c.Err())
	var fields []string
	for _, f := range d.Fields {
		fields = append(fields, f.Field)
	}
	if got := strings.Join(fields, ""); got != "abce" || d.Reason != ValidationFailed {
		t.Errorf("got %q, %+v", got, d)
	}
	if (Checks{}).Err() != nil {
		t.Error("nothing wrong is no error")
	}
}
