package scope

import "context"

// Caller is who a call is made for. The zero value is nobody.
type Caller struct {
	UID  string
	Data any
}

type callerKey struct{}

// WithCaller sets who calls made with the context are made for, whatever the scope says.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// OverriddenCaller gives what [WithCaller] set.
func OverriddenCaller(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// WithoutCaller undoes [WithCaller] for a callee, whose own scope already names the caller.
func WithoutCaller(ctx context.Context) context.Context {
	if _, ok := OverriddenCaller(ctx); !ok {
		return ctx
	}
	return context.WithValue(ctx, callerKey{}, nil)
}
