package gateway

import (
	"slices"
	"strconv"

	"encore.app/authz/principal"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/ratelimit"
	"encore.app/infra/platform/request"
	"encore.dev/middleware"
)

// overdrawn is what a caller is told who is known to be over their limit, before anything is read for
// them; nil lets them on.
func overdrawn(c *principal.Caller) []ratelimit.Verdict {
	limits, limiter, err := limitsAndLimiter()
	if err != nil {
		return nil // the limit itself will say so
	}
	if v, over := limiter.Over(limits.OfCaller(callerID(c))); over {
		return []ratelimit.Verdict{v}
	}
	return nil
}

// turnedAway counts a call that is refused at the door: each leaves an entry in the log, so they must
// not be free.
func turnedAway(c *principal.Caller) {
	if limits, limiter, err := limitsAndLimiter(); err == nil {
		limiter.Take(limits.OfCaller(callerID(c)))
	}
}

// limited counts the request against its limits, goes on if it may, and tells the client how they stand.
func limited(req middleware.Request, next middleware.Next) middleware.Response {
	ctx := req.Context()
	limits, limiter, err := limitsAndLimiter()
	if err != nil {
		return middleware.Response{Err: err}
	}
	var counts []ratelimit.Count
	switch p := principal.FromContext(ctx); {
	case p == nil:
		counts = append(counts, limits.OfAddress(exchangeOf(ctx).info.IP))
	case p.Tenant == nil:
		counts = append(counts, limits.OfCaller(callerID(p.Caller)))
	default:
		counts = append(counts, limits.OfCaller(callerID(p.Caller)), limits.OfOrg(p.Tenant.Tier, p.Tenant.OrgID))
	}
	verdicts := limiter.Take(counts...)
	exchangeOf(ctx).verdicts = verdicts
	if slices.ContainsFunc(verdicts, func(v ratelimit.Verdict) bool { return v.Limited }) {
		return slowDown(req, next, verdicts)
	}
	resp := next(req)
	if !raw(req.Data()) {
		announce(&resp, verdicts)
	}
	return resp
}

// slowDown refuses a request that is over a limit.
func slowDown(req middleware.Request, next middleware.Next, verdicts []ratelimit.Verdict) middleware.Response {
	resp := middleware.Response{Err: ratelimit.Exceeded(verdicts...)}
	if raw(req.Data()) {
		return next(req.WithContext(request.Refuse(req.Context(), resp.Err)))
	}
	announce(&resp, verdicts)
	return resp
}

// announce tells the client how much is left of its limits.
func announce(resp *middleware.Response, verdicts []ratelimit.Verdict) {
	if len(verdicts) == 0 {
		return
	}
	h := resp.Header()
	policy, state := ratelimit.Headers(verdicts)
	h.Set("RateLimit-Policy", policy)
	h.Set("RateLimit", state)
	if seconds := fault.DetailsOf(resp.Err).RetryAfter; seconds > 0 {
		h.Set("Retry-After", strconv.Itoa(seconds))
	}
}

func limitsAndLimiter() (ratelimit.Limits, *ratelimit.Limiter, error) {
	limits, err := ratelimit.Configured()
	if err != nil {
		return limits, nil, fault.Internal(err)
	}
	limiter, err := ratelimit.Process()
	if err != nil {
		return limits, nil, fault.Internal(err)
	}
	return limits, limiter, nil
}

// callerID is whose calls are counted together: a person's, or a key's.
func callerID(c *principal.Caller) string {
	if c.APIKeyID != "" {
		return c.APIKeyID
	}
	return c.UserID
}
