package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/fault"
	encore "encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/middleware"
)

// through sends a request for an endpoint through Observe, Harden and Guard.
func through(api *encore.APIDesc, endpoint func(context.Context) middleware.Response) middleware.Response {
	data := &encore.Request{
		Type: encore.APICall, API: api, Service: "svc", Endpoint: "Endpoint", Path: "/x",
		Headers: http.Header{"X-Request-Id": {"req-1"}},
	}
	req := middleware.NewRequest(context.Background(), data)
	return Observe(req, func(req middleware.Request) middleware.Response {
		return Harden(req, func(req middleware.Request) middleware.Response {
			return Guard(req, func(req middleware.Request) middleware.Response { return endpoint(req.Context()) })
		})
	})
}

type payload struct{ Secret string }

func TestNoAnswerLeavesWithoutADecision(t *testing.T) {
	t.Parallel()
	answer := middleware.Response{Payload: &payload{Secret: "s"}}
	refused := func(code errs.ErrCode) middleware.Response {
		return middleware.Response{Err: &errs.Error{Code: code, Message: "m"}}
	}
	for name, c := range map[string]struct {
		tags    encore.Tags
		resp    middleware.Response
		stopped bool
	}{
		"data":                        {resp: answer, stopped: true},
		"data of an open endpoint":    {resp: answer, tags: encore.Tags{"open"}},
		"not found tells existence":   {resp: refused(errs.NotFound), stopped: true},
		"a conflict tells existence":  {resp: refused(errs.AlreadyExists), stopped: true},
		"a denial without a decision": {resp: refused(errs.PermissionDenied), stopped: true},
		"last_owner tells existence":  {resp: refused(errs.FailedPrecondition), stopped: true},
		"bad input tells nothing":     {resp: refused(errs.InvalidArgument)},
		"a client that hung up":       {resp: refused(errs.Canceled)},
		"an outage tells nothing":     {resp: refused(errs.Unavailable)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := through(&encore.APIDesc{Exposed: true, Tags: c.tags}, func(context.Context) middleware.Response { return c.resp })
			e := fault.As(got.Err)
			stopped := e != nil && e.Code == errs.Internal
			if stopped != c.stopped {
				t.Errorf("stopped %v, want %v: %+v", stopped, c.stopped, got)
			}
			if stopped && got.Payload != nil {
				t.Errorf("the payload left: %+v", got.Payload)
			}
		})
	}
}

func TestADenialThatTheEndpointForgotStops(t *testing.T) {
	t.Parallel()
	got := through(&encore.APIDesc{Exposed: true}, func(ctx context.Context) middleware.Response {
		authz.Note(ctx, authz.Made{Decision: authz.Decision{Allowed: true}})
		authz.Note(ctx, authz.Made{Decision: authz.Decision{Allowed: false}})
		return middleware.Response{Payload: &payload{Secret: "s"}}
	})
	if got.Err == nil || got.Payload != nil {
		t.Errorf("it left: %+v", got)
	}
}

func TestADecidedAnswerLeaves(t *testing.T) {
	t.Parallel()
	got := through(&encore.APIDesc{Exposed: true}, func(ctx context.Context) middleware.Response {
		authz.Note(ctx, authz.Made{Decision: authz.Decision{Allowed: true, ID: "d"}})
		return middleware.Response{Payload: &payload{}}
	})
	if got.Err != nil || got.Payload == nil {
		t.Errorf("got %+v", got)
	}
	for _, h := range []string{"Cache-Control", "Content-Security-Policy", "Referrer-Policy"} {
		if got.Header().Get(h) == "" {
			t.Errorf("no %s", h)
		}
	}
}

func TestNoInternalTextLeaves(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"plain":       errors.New("canary: pq: password authentication failed"),
		"internal":    fault.Internal(errors.New("canary")),
		"unavailable": fault.Unavailable("postgres", errors.New("canary")),
	} {
		got := through(&encore.APIDesc{Exposed: true}, func(context.Context) middleware.Response { return middleware.Response{Err: err} })
		e := fault.As(got.Err)
		if e == nil || strings.Contains(e.Message, "canary") {
			t.Fatalf("%s: got %+v", name, got.Err)
		}
		if d := fault.DetailsOf(got.Err); d.RequestID != "req-1" || d.Reason == "" {
			t.Errorf("%s: got %+v", name, d)
		}
	}
}

func TestAPrincipalIsNarrowedByItsToken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		caller principal.Caller
		want   bool
	}{
		"no claim":        {principal.Caller{}, false},
		"by alias":        {principal.Caller{OrganizationsPresent: true, Organizations: []string{"acme"}}, false},
		"by id":           {principal.Caller{OrgIDClaim: "id-acme"}, false},
		"another alias":   {principal.Caller{OrganizationsPresent: true, Organizations: []string{"globex"}}, true},
		"empty list":      {principal.Caller{OrganizationsPresent: true}, true},
		"another id":      {principal.Caller{OrgIDClaim: "id-globex"}, true},
		"id and not list": {principal.Caller{OrgIDClaim: "id-acme", OrganizationsPresent: true}, true},
	} {
		if got := c.caller.Narrowed("id-acme", "acme"); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// What the layers that see every request cost, besides the line that they log.
func BenchmarkObserve(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		through(&encore.APIDesc{Exposed: true}, func(ctx context.Context) middleware.Response {
			authz.Note(ctx, authz.Made{Decision: authz.Decision{Allowed: true, ID: "d"}})
			return middleware.Response{Payload: &payload{}}
		})
	}
}
