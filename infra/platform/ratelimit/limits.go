package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"encore.app/infra/platform/fault"
	"encore.dev/beta/errs"
)

// The limits are units a minute; 0 switches one off.
var secrets struct {
	RATE_LIMIT_FREE       string
	RATE_LIMIT_PRO        string
	RATE_LIMIT_ENTERPRISE string
	RATE_LIMIT_CALLER     string
	RATE_LIMIT_ADDRESS    string
}

// Limits are the policies in force.
type Limits struct {
	Caller  Policy
	Address Policy            // of calls without a caller
	Tiers   map[string]Policy // of an organisation, by its tier
}

// Org is the policy of an organisation of a tier; an unknown tier gets the tightest.
func (l Limits) Org(tier string) Policy {
	if p, ok := l.Tiers[tier]; ok {
		return p
	}
	return l.Tiers["free"]
}

// Configured are the limits as they are set.
var Configured = sync.OnceValues(func() (Limits, error) {
	var wrong []error
	policy := func(name, variable, value string, standard int) Policy {
		p := Policy{Name: name, Quota: standard, Window: time.Minute}
		if value == "" {
			return p
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > 1_000_000_000 {
			wrong = append(wrong, fmt.Errorf("%s must be a number of requests a minute, 0 for no limit", variable))
		}
		p.Quota = n
		return p
	}
	l := Limits{
		Caller:  policy("caller", "RATE_LIMIT_CALLER", secrets.RATE_LIMIT_CALLER, 1200),
		Address: policy("address", "RATE_LIMIT_ADDRESS", secrets.RATE_LIMIT_ADDRESS, 300),
		Tiers: map[string]Policy{
			"free":       policy("org", "RATE_LIMIT_FREE", secrets.RATE_LIMIT_FREE, 600),
			"pro":        policy("org", "RATE_LIMIT_PRO", secrets.RATE_LIMIT_PRO, 3000),
			"enterprise": policy("org", "RATE_LIMIT_ENTERPRISE", secrets.RATE_LIMIT_ENTERPRISE, 12000),
		},
	}
	if err := errors.Join(wrong...); err != nil {
		return Limits{}, fmt.Errorf("ratelimit: %w", err)
	}
	return l, nil
})

// TakeAddress counts a call that has no caller against its address.
func TakeAddress(ctx context.Context, ip string) (Verdict, error) {
	limits, err := Configured()
	if err != nil {
		return Verdict{}, err
	}
	limiter, err := Process()
	if err != nil {
		return Verdict{}, err
	}
	return limiter.Take(ctx, limits.Address, ip), nil
}

// Exceeded is the answer to a unit that was not there any more.
func Exceeded(v Verdict) *errs.Error {
	e := fault.New(errs.ResourceExhausted, fault.RateLimited, "too many requests, slow down")
	e.Details = fault.Details{Reason: fault.RateLimited, RetryAfter: max(1, Seconds(v.RetryAfter))}
	return fault.WithStatus(e, http.StatusTooManyRequests)
}
