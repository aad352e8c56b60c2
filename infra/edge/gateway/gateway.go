// Package gateway stands in front of every endpoint of every service, in the order of this file:
//
//	Observe  names the request, traces it, logs it, measures it, and makes every error fit to leave
//	Harden   adds the headers that tell browsers and caches to keep their hands off
//	Admit    turns caller and path into a principal: right audience, member of the organisation
//	Limit    counts the call against caller and organisation, or against the address
//	Once     lets a write with an idempotency key happen once
//	Guard    lets no answer out for which no authorization decision was made
//
// Everything past Admit finds its principal in the context and nowhere else.
package gateway

import (
	"context"
	"sync"
	"time"

	"encore.app/authz"
	"encore.app/authz/principal"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/request"
	encore "encore.dev"
	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/middleware"
)

// Observe names the request, traces it, logs it, measures it, and makes every error fit to leave.
//
//encore:middleware global target=all
func Observe(req middleware.Request, next middleware.Next) middleware.Response {
	start := time.Now()
	x := newExchange(req.Data())
	ctx, span := traced(req.Context(), req.Data())
	ctx = request.NewContext(context.WithValue(ctx, exchangeKey{}, x), x.info)
	ctx, x.trail = authz.WithTrail(ctx)
	resp := next(req.WithContext(ctx))
	failed := resp.Err
	if failed != nil {
		x.cause = causeOf(failed)
		resp.HTTPStatus = fault.Status(failed)
		resp.Err = fault.Finish(failed, x.info.ID)
	}
	x.finish(resp, failed, time.Since(start), span)
	return resp
}

// production is asked on every request and never changes. It says whether people's data is here.
var production = sync.OnceValue(func() bool { return encore.Meta().Environment.Type == encore.EnvProduction })

// pinned says whether browsers are told to come by HTTPS alone. Staging is of production's type and has
// a name that may be anything's tomorrow.
var pinned = sync.OnceValue(func() bool { return production() && encore.Meta().Environment.Name != "staging" })

// raw says that the endpoint writes its answer itself: no middleware can hold that back.
func raw(data *encore.Request) bool { return data.API != nil && data.API.Raw }

// hsts is sent in production only: a browser remembers it for the host name, whatever the port.
const hsts = "max-age=63072000; includeSubDomains"

// Harden adds the headers that tell browsers and caches to keep their hands off.
//
//encore:middleware global target=all
func Harden(req middleware.Request, next middleware.Next) middleware.Response {
	resp := next(req)
	if raw(req.Data()) { // it has written its own headers by now
		return resp
	}
	h := resp.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	if pinned() {
		h.Set("Strict-Transport-Security", hsts)
	}
	return resp
}

// Admit turns caller and path into a principal: right audience, member of the organisation.
//
//encore:middleware global target=all
func Admit(req middleware.Request, next middleware.Next) middleware.Response {
	ctx := req.Context()
	// A call from another endpoint is admitted already, unless it is made in somebody else's name.
	if p := principal.FromContext(ctx); p != nil && auth.Data() == any(p.Caller) {
		exchangeOf(ctx).principal = p
		return next(req)
	}
	caller, _ := auth.Data().(*principal.Caller)
	if caller == nil || open(req.Data()) { // who calls an open endpoint makes no difference
		return next(req)
	}
	if verdicts := overdrawn(caller); verdicts != nil {
		return slowDown(req, next, verdicts)
	}
	p, err := admit(ctx, req.Data(), caller)
	if err != nil {
		turnedAway(caller)
	}
	if err != nil && raw(req.Data()) {
		return next(req.WithContext(request.Refuse(ctx, err)))
	}
	if err != nil {
		return middleware.Response{Err: err}
	}
	exchangeOf(ctx).principal = p
	return next(req.WithContext(principal.NewContext(ctx, p)))
}

// Limit counts the call against caller and organisation, or against the address if nobody is known to
// call. Probes are not counted: whoever asks whether the app is alive must be told. Neither is what others
// deliver under a signature of theirs: Stripe and the issuer come with as much as there is.
//
//encore:middleware global target=all
func Limit(req middleware.Request, next middleware.Next) middleware.Response {
	data := req.Data()
	uncounted := open(data) && (data.Service == "ops" || data.API.Raw)
	if data.API == nil || !data.API.Exposed || uncounted || len(exchangeOf(req.Context()).verdicts) > 0 {
		return next(req)
	}
	return limited(req, next)
}

// Once lets a write with an idempotency key happen once.
//
//encore:middleware global target=all
func Once(req middleware.Request, next middleware.Next) middleware.Response {
	ctx := req.Context()
	p := principal.FromContext(ctx)
	if p == nil || exchangeOf(ctx).keyed { // nobody, or the call of an endpoint that is keyed already
		return next(req)
	}
	key, err := keyOf(req.Data())
	if err != nil {
		return middleware.Response{Err: err}
	}
	if key == "" {
		return next(req)
	}
	exchangeOf(ctx).keyed = true
	return keyed(ctx, req, key, p, next)
}

// tagOpen marks the endpoints that anyone may call and that need no decision.
const tagOpen = "open"

func open(data *encore.Request) bool { return data.API != nil && data.API.Tags.Has(tagOpen) }

// Guard lets no answer out for which no authorization decision was made.
//
//encore:middleware global target=all
func Guard(req middleware.Request, next middleware.Next) middleware.Response {
	resp := next(req)
	// What is not exposed is reached by the app's own crons and services alone.
	if api := req.Data().API; api != nil && (!api.Exposed || open(req.Data())) {
		return resp
	}
	x := exchangeOf(req.Context())
	if denied, ok := x.trail.Denied(); ok {
		recordDenial(req.Context(), x, denied)
		if resp.Err == nil && !raw(req.Data()) { // the endpoint went on after a denial
			return middleware.Response{Err: undecided(req.Data())}
		}
		return resp
	}
	last, decided := x.trail.Last()
	if e := fault.As(resp.Err); decided && e != nil && e.Code == errs.PermissionDenied {
		// A rule of the endpoint's own refused what the policies allow: that is on the record, too.
		last.Reasons = []string{string(fault.DetailsOf(e).Reason)}
		recordDenial(req.Context(), x, last)
	}
	if decided || harmless(resp.Err) || raw(req.Data()) {
		return resp // authz.Stream held a raw endpoint to its decision
	}
	return middleware.Response{Err: undecided(req.Data())}
}

// harmless are the errors that tell nothing about any resource, and so may leave undecided.
func harmless(err error) bool {
	if err == nil {
		return false
	}
	e := fault.As(err)
	if e == nil { // becomes internal: no text of it leaves
		return true
	}
	switch e.Code {
	case errs.InvalidArgument, errs.Unauthenticated, errs.Internal, errs.Unavailable, errs.Canceled, errs.DeadlineExceeded:
		return true
	}
	return false
}
