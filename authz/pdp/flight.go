package pdp

import (
	"context"

	"golang.org/x/sync/singleflight"
)

// flight lets equal questions that are asked at once share one answer.
type flight struct{ group singleflight.Group }

// do runs ask once for all that wait on k. It is not ended by the first caller's
// leaving, because others may wait on it; the Client's own deadline ends it.
func (f *flight) do(ctx context.Context, k key, ask func(context.Context) (entry, error)) (entry, error) {
	shared := context.WithoutCancel(ctx)
	answer := f.group.DoChan(string(k[:]), func() (any, error) { return ask(shared) })
	select {
	case got := <-answer:
		e, _ := got.Val.(entry)
		return e, got.Err
	case <-ctx.Done():
		return entry{}, ctx.Err()
	}
}
