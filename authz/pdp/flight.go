package pdp

import (
	"context"

	"golang.org/x/sync/singleflight"
)

// flight lets equal questions that are asked at once share one answer.
type flight struct{ group singleflight.Group }

// fly runs ask once for all that wait on k. It is not ended by the first caller's leaving, because
// others may wait on it; the Client's own deadline ends it.
func fly[T any](ctx context.Context, f *flight, k Key, ask func(context.Context) (T, error)) (T, error) {
	shared := context.WithoutCancel(ctx)
	answer := f.group.DoChan(string(k[:]), func() (any, error) { return ask(shared) })
	select {
	case got := <-answer:
		v, _ := got.Val.(T)
		return v, got.Err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}
