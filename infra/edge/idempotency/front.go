package idempotency

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"encore.app/infra/platform/keyvalue"
	"encore.dev/rlog"
	"github.com/redis/go-redis/v9"
)

// front is Redis before Postgres: a repeat whose answer it has costs no transaction. It holds only what is
// committed, sealed as in the table, so that losing it loses nothing; without it every repeat asks Postgres.
type front struct {
	redis redis.Cmdable
	away  atomic.Int64 // until when it is left alone, in nanoseconds of the Unix epoch
}

const (
	// frontWithin bounds what a Redis that hangs costs a write.
	frontWithin = 50 * time.Millisecond
	// frontRest is how long one that failed is left alone.
	frontRest = time.Second
)

// inFront is the one of this process; nil if there is none.
var inFront = sync.OnceValue(func() *front {
	store, err := keyvalue.Process()
	if err != nil {
		return nil // the start refuses it
	}
	return &front{redis: store}
})

func frontKey(id [sha256.Size]byte) string { return "idempotency:" + hex.EncodeToString(id[:]) }

// recall is the fingerprint and the sealed answer of a key, if Redis has them.
func (f *front) recall(ctx context.Context, id [sha256.Size]byte) (fingerprint, sealed []byte, ok bool) {
	var kept []byte
	f.ask(ctx, func(ctx context.Context) (err error) {
		kept, err = f.redis.Get(ctx, frontKey(id)).Bytes()
		return err
	})
	if len(kept) <= sha256.Size {
		return nil, nil, false
	}
	return kept[:sha256.Size], kept[sha256.Size:], true
}

// remember keeps what Postgres has committed.
func (f *front) remember(ctx context.Context, id, fingerprint [sha256.Size]byte, sealed []byte) {
	f.ask(context.WithoutCancel(ctx), func(ctx context.Context) error {
		return f.redis.Set(ctx, frontKey(id), append(fingerprint[:], sealed...), Kept).Err()
	})
}

func (f *front) ask(ctx context.Context, fn func(context.Context) error) {
	if f == nil || time.Now().UnixNano() < f.away.Load() {
		return
	}
	within, cancel := context.WithTimeout(ctx, frontWithin)
	defer cancel()
	if err := fn(within); err != nil && !errors.Is(err, redis.Nil) && ctx.Err() == nil {
		f.away.Store(time.Now().Add(frontRest).UnixNano())
		rlog.Warn("kept answers come from Postgres alone until Redis is back", "err", err)
	}
}
