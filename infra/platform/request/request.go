// Package request carries what is known of the request being served, beyond who makes it: its id,
// where it came from, what it asked for. Audit events and log lines are written from it.
package request

import "context"

// Info describes one request. The zero Info is background work.
type Info struct {
	ID    string // X-Request-ID
	IP    string // the client's address
	Route string // Service.Endpoint
}

type key struct{}

// NewContext returns ctx carrying info.
func NewContext(ctx context.Context, info Info) context.Context {
	return context.WithValue(ctx, key{}, info)
}

// From is the Info that ctx carries.
func From(ctx context.Context) Info {
	info, _ := ctx.Value(key{}).(Info)
	return info
}

type refusalKey struct{}

// Refuse returns ctx in which the request is refused already. It is for raw endpoints alone: Encore
// answers 200 with nothing when a middleware stops one, so they must write the refusal themselves.
func Refuse(ctx context.Context, err error) context.Context {
	return context.WithValue(ctx, refusalKey{}, err)
}

// Refusal is why the request was refused before it reached its endpoint; nil if it was not.
func Refusal(ctx context.Context) error {
	err, _ := ctx.Value(refusalKey{}).(error)
	return err
}
