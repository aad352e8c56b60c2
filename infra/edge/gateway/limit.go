package gateway

import (
	"strconv"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/ratelimit"
	"encore.app/infra/platform/request"
	"encore.dev/middleware"
)

// limited counts the request against the policy and subject that of names, and goes on if it may. The
// outermost limit tells the client how all of them stand.
func limited(req middleware.Request, next middleware.Next, of func(ratelimit.Limits) (ratelimit.Policy, string)) middleware.Response {
	ctx := req.Context()
	limits, err := ratelimit.Configured()
	if err != nil {
		return middleware.Response{Err: fault.Internal(err)}
	}
	limiter, err := ratelimit.Process()
	if err != nil {
		return middleware.Response{Err: fault.Internal(err)}
	}
	x := exchangeOf(ctx)
	outermost := len(x.verdicts) == 0
	policy, subject := of(limits)
	v := limiter.Take(ctx, policy, subject)
	if policy.Quota > 0 {
		x.verdicts = append(x.verdicts, v)
	}
	var resp middleware.Response
	switch {
	case !v.Limited:
		resp = next(req)
	case raw(req.Data()):
		return next(req.WithContext(request.Refuse(ctx, ratelimit.Exceeded(v))))
	default:
		resp = middleware.Response{Err: ratelimit.Exceeded(v)}
	}
	if outermost && len(x.verdicts) > 0 && !raw(req.Data()) {
		announce(&resp, x.verdicts)
	}
	return resp
}

// announce tells the client how much is left of its limits.
func announce(resp *middleware.Response, verdicts []ratelimit.Verdict) {
	h := resp.Header()
	policy, state := ratelimit.Headers(verdicts)
	h.Set("RateLimit-Policy", policy)
	h.Set("RateLimit", state)
	if seconds := fault.DetailsOf(resp.Err).RetryAfter; seconds > 0 {
		h.Set("Retry-After", strconv.Itoa(seconds))
	}
}
