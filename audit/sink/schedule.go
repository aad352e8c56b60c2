package sink

import (
	"time"

	"encore.app/infra/platform/broker"
)

// Ladder is when a failed delivery is tried again: about 5 s, 30 s, 2 min, 10 min, 30 min, 2 h, 6 h and
// then every 12 h.
var Ladder = broker.Ladder{
	4 * time.Second, 6 * time.Second,
	25 * time.Second, 35 * time.Second,
	100 * time.Second, 140 * time.Second,
	8 * time.Minute, 12 * time.Minute,
	25 * time.Minute, 35 * time.Minute,
	100 * time.Minute, 140 * time.Minute,
	5 * time.Hour, 7 * time.Hour,
	11 * time.Hour, 13 * time.Hour,
}

const (
	// MaxAttempts is when a delivery is given up: after about three days.
	MaxAttempts = 13
	// DisableAfter is how long a sink may fail without a single success before it is switched off.
	DisableAfter = 3 * 24 * time.Hour
	// disableAttempts is how many failures in a row that takes at least.
	disableAttempts = 10
)

// Breaker is a sink's failures in a row. While it is open nothing is sent there; then one delivery
// tries, and the first success closes it.
type Breaker struct {
	Failures     int
	FailingSince time.Time
}

const (
	// BreakAfter is how many failures in a row open the breaker.
	BreakAfter = 5
	openFirst  = 10 * time.Second
	openMost   = 10 * time.Minute
)

// Probing says that only one delivery may try.
func (b Breaker) Probing() bool { return b.Failures >= BreakAfter }

// Fail counts a failure and says for how long nothing is to be sent; 0 if the breaker stays closed.
func (b Breaker) Fail(now time.Time) (Breaker, time.Duration) {
	if b.Failures == 0 {
		b.FailingSince = now
	}
	b.Failures++
	if b.Failures < BreakAfter {
		return b, 0
	}
	open := openFirst << min(b.Failures-BreakAfter, 10)
	return b, min(open, openMost)
}

// Hopeless says that the sink has failed for so long that it is to be switched off.
func (b Breaker) Hopeless(now time.Time) bool {
	return b.Failures >= disableAttempts && now.Sub(b.FailingSince) >= DisableAfter
}
