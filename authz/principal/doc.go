// Package principal holds the caller of a request as every other package and
// the policies see it.
//
// A [Caller] is what a verified credential says; a [Tenant] is what the
// database says about that caller in one organisation. [New] joins them into a
// [Principal], and is the only place that turns either into policy attributes,
// so what a policy can rely on is decided here and nowhere else.
//
// A Principal is immutable once built and safe for concurrent use.
package principal
