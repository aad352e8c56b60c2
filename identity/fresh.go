package identity

import (
	"context"
	"errors"
	"time"

	"encore.app/infra/platform/fault"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	// userFreshness bounds how long a credential is still let in that was ended on another replica,
	// when the notification of it is lost as well.
	userFreshness = 3 * time.Second
	// loadWithin bounds how long a caller waits for a database that does not answer.
	loadWithin = 2 * time.Second
	kept       = 10_000
)

// flightKey is a key of which callers can wait for one load together.
type flightKey interface {
	comparable
	flight() string
}

// fresh remembers what was read of a credential for userFreshness.
type fresh[K flightKey, V any] struct {
	now     func() time.Time
	recent  *lru.Cache[K, aged[V]]
	flights singleflight.Group
}

type aged[V any] struct {
	value V
	at    time.Time
}

func newFresh[K flightKey, V any](now func() time.Time) *fresh[K, V] {
	recent, err := lru.New[K, aged[V]](kept)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &fresh[K, V]{now: now, recent: recent}
}

// get is what is remembered of k and still good, else what load reads, once for all who wait.
func (f *fresh[K, V]) get(ctx context.Context, k K, good func(V) bool, load func(context.Context) (V, error)) (V, error) {
	if got, ok := f.recent.Get(k); ok && f.now().Sub(got.at) < userFreshness && good(got.value) {
		return got.value, nil
	}
	// The flight outlives the first caller's request, because the others wait for the same row; its
	// own bound stands in for theirs.
	flight := f.flights.DoChan(k.flight(), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadWithin)
		defer cancel()
		at := f.now() // what is revoked while it is read is seen one freshness after this
		value, err := load(ctx)
		switch {
		case err == nil:
			f.recent.Add(k, aged[V]{value: value, at: at})
		case errors.Is(err, context.DeadlineExceeded):
			err = fault.Unavailable("postgres", err)
		}
		return value, err
	})
	var none V
	select {
	case got := <-flight:
		if got.Err != nil {
			return none, got.Err
		}
		return got.Val.(V), nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// drop forgets what matches.
func (f *fresh[K, V]) drop(match func(K, V) bool) {
	for _, k := range f.recent.Keys() {
		if got, ok := f.recent.Peek(k); ok && match(k, got.value) {
			f.recent.Remove(k)
		}
	}
}
