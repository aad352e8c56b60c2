package pdp

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// redisWithin bounds a look into Redis: the decision point answers in a millisecond.
	redisWithin = 20 * time.Millisecond
	// redisPause is how long a Redis that failed is left alone.
	redisPause = time.Second
	// redisQueue is how many answers wait to be kept; further ones are dropped.
	redisQueue = 1024
	// redisBatch is how many of them go in one round trip.
	redisBatch = 64
	// redisSaveWithin bounds a save, for which nobody waits.
	redisSaveWithin = time.Second
)

// Redis is a Shared in Redis. What it keeps is sealed, each answer under its question: whoever can write
// there can make replicas forget, and not believe.
type Redis struct {
	client redis.UniversalClient
	seals  sync.Pool // of hash.Hash, keyed
	queue  chan saving
	paused atomic.Int64 // until then, Unix nanoseconds
	stop   chan struct{}
	writer sync.WaitGroup
}

var _ Shared = (*Redis)(nil)

type saving struct {
	name  string
	value []byte
	ttl   time.Duration
}

// NewRedis starts a writer, which Close stops. The client stays its owner's. All replicas have one key.
func NewRedis(client redis.UniversalClient, key []byte) *Redis {
	r := &Redis{client: client, queue: make(chan saving, redisQueue), stop: make(chan struct{})}
	r.seals.New = func() any { return hmac.New(sha256.New, key) }
	r.writer.Go(r.write)
	return r
}

// Close stops the writer; what waits is lost.
func (r *Redis) Close() {
	close(r.stop)
	r.writer.Wait()
}

// name is where a key is kept: a hash, so that Redis knows nobody's attributes.
func (k Key) name() string {
	return string(hex.AppendEncode(append(make([]byte, 0, 80), "authz:"...), k[:]))
}

// Load looks the keys up in one round trip.
func (r *Redis) Load(ctx context.Context, keys []Key) [][]byte {
	if time.Now().UnixNano() < r.paused.Load() {
		return nil
	}
	bounded, cancel := r.bounded(ctx)
	defer cancel()
	if len(keys) == 1 {
		text, err := r.client.Get(bounded, keys[0].name()).Bytes()
		if err != nil {
			r.failed(ctx, err)
			return nil
		}
		return [][]byte{r.open(keys[0], text)}
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name()
	}
	found, err := r.client.MGet(bounded, names...).Result()
	if err != nil {
		r.failed(ctx, err)
		return nil
	}
	out := make([][]byte, len(found))
	for i, v := range found {
		if text, ok := v.(string); ok {
			out[i] = r.open(keys[i], []byte(text))
		}
	}
	return out
}

// seal puts before a value what only those can make who have the key.
func (r *Redis) seal(k Key, value []byte) []byte {
	return append(r.sum(make([]byte, 0, sha256.Size+len(value)), k, value), value...)
}

// open is the value that was sealed under k, or nil.
func (r *Redis) open(k Key, sealed []byte) []byte {
	if len(sealed) < sha256.Size {
		return nil
	}
	var room [sha256.Size]byte
	value := sealed[sha256.Size:]
	if !hmac.Equal(sealed[:sha256.Size], r.sum(room[:0], k, value)) {
		return nil
	}
	return value
}

func (r *Redis) sum(dst []byte, k Key, value []byte) []byte {
	mac := r.seals.Get().(hash.Hash)
	defer r.seals.Put(mac)
	mac.Reset()
	mac.Write(k[:])
	mac.Write(value)
	return mac.Sum(dst)
}

// bounded is ctx with redisWithin as its deadline. A connection that is there holds to the deadline by
// itself; only where one has to be made or waited for does a timer have to end that, and a timer that is
// the next to fire wakes a sleeping processor: half of what a look takes.
func (r *Redis) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.client.PoolStats().IdleConns == 0 {
		return context.WithTimeout(ctx, redisWithin)
	}
	at := time.Now().Add(redisWithin)
	if d, ok := ctx.Deadline(); ok && d.Before(at) {
		at = d
	}
	return due{ctx, at}, func() {}
}

// due is a context whose deadline those keep to who look at it.
type due struct {
	context.Context
	at time.Time
}

// Deadline is that of [context.Context].
func (d due) Deadline() (time.Time, bool) { return d.at, true }

// Save hands the value to the writer, or drops it.
func (r *Redis) Save(k Key, value []byte, ttl time.Duration) {
	if time.Now().UnixNano() < r.paused.Load() {
		return
	}
	select {
	case r.queue <- saving{k.name(), r.seal(k, value), ttl}:
	default:
		sharedDropped.Inc()
	}
}

func (r *Redis) write() {
	for {
		select {
		case first := <-r.queue:
			r.keep(first)
		case <-r.stop:
			return
		}
	}
}

// keep writes what waits, the first included, in one round trip.
func (r *Redis) keep(s saving) {
	ctx, cancel := context.WithTimeout(context.Background(), redisSaveWithin)
	defer cancel()
	_, err := r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Set(ctx, s.name, s.value, s.ttl)
		for range min(len(r.queue), redisBatch-1) {
			s := <-r.queue
			pipe.Set(ctx, s.name, s.value, s.ttl)
		}
		return nil
	})
	if err != nil {
		r.failed(ctx, err)
	}
}

// failed leaves Redis alone for a while, unless the caller gave up or there was no such key.
func (r *Redis) failed(ctx context.Context, err error) {
	if errors.Is(err, redis.Nil) || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	sharedFailed.Inc()
	r.paused.Store(time.Now().Add(redisPause).UnixNano())
}
