// Package sink is how audit events leave for an organisation's own systems: which events a sink wants
// ([Filter]), how the receiver knows that it is ours ([Sign], Standard Webhooks), where it may be sent
// at all ([Guard], against server-side request forgery), and when it is tried again ([Ladder],
// [Breaker]).
//
// It knows no database and no broker.
package sink
