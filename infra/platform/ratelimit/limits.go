package ratelimit

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"encore.app/infra/platform/fault"
	"encore.dev/beta/errs"
)

var secrets struct {
	// RATE_LIMITS changes some of the standard limits: free=600,caller=0. Requests a minute, 0 for none.
	RATE_LIMITS string //host:optional
}

// standard are requests a minute: of an organisation by its tier, of a caller, and of an address whose
// calls have no caller.
var standard = map[string]int{"free": 600, "pro": 3000, "enterprise": 12000, "caller": 1200, "address": 300}

const mostAMinute = 1_000_000_000

// Limits are the policies in force.
type Limits struct{ quotas map[string]int }

func (l Limits) policy(name, quota string) Policy {
	return Policy{Name: name, Quota: l.quotas[quota], Window: time.Minute}
}

// Configured are the limits as they are set.
var Configured = sync.OnceValues(func() (Limits, error) { return parseLimits(secrets.RATE_LIMITS) })

func parseLimits(set string) (Limits, error) {
	l := Limits{quotas: maps.Clone(standard)}
	for _, pair := range strings.FieldsFunc(set, func(r rune) bool { return r == ',' || r == ' ' }) {
		name, value, _ := strings.Cut(pair, "=")
		n, err := strconv.Atoi(value)
		if _, known := standard[name]; !known || err != nil || n < 0 || n > mostAMinute {
			return Limits{}, fmt.Errorf("ratelimit: RATE_LIMITS: %q must be one of %s, = and requests a minute (0 for no limit)",
				pair, strings.Join(slices.Sorted(maps.Keys(standard)), ", "))
		}
		l.quotas[name] = n
	}
	return l, nil
}

// OfCaller is one call of a caller.
func (l Limits) OfCaller(id string) Count { return Count{l.policy("caller", "caller"), id} }

// OfAddress is one call that has no caller. Of IPv6 it is the /64 that counts: a host has all of it, and
// may come from another address each time.
func (l Limits) OfAddress(ip string) Count {
	if a, err := netip.ParseAddr(ip); err == nil && a.Is6() && !a.Is4In6() {
		ip = netip.PrefixFrom(a.WithZone(""), 64).Masked().String()
	}
	return Count{l.policy("address", "address"), ip}
}

// OfOrg is one call in an organisation of a tier; an unknown tier gets the tightest limit.
func (l Limits) OfOrg(tier, id string) Count {
	if _, ok := l.quotas[tier]; !ok {
		tier = "free"
	}
	return Count{l.policy("org", tier), id}
}

// Exceeded is the answer to units that were not there any more: it names the longest wait.
func Exceeded(verdicts ...Verdict) *errs.Error {
	after := time.Second
	for _, v := range verdicts {
		if v.Limited {
			after = max(after, v.RetryAfter)
		}
	}
	e := fault.New(errs.ResourceExhausted, fault.RateLimited, "too many requests, slow down")
	e.Details = fault.Details{Reason: fault.RateLimited, RetryAfter: Seconds(after)}
	return fault.WithStatus(e, http.StatusTooManyRequests)
}
