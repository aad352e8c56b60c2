// Package keyvalue opens Redis: the one at a URL or, where there is none, one inside the process.
//
// What is kept here may be lost at any moment without harm; whoever cannot live with that keeps it
// in Postgres. The embedded one is for development and tests: every process has its own.
package keyvalue

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Store is a Redis and the client to it.
type Store struct {
	*redis.Client
	embedded *embedded // nil for a Redis of its own
}

var secrets struct {
	// REDIS_URL names a Redis; unset, this process has one of its own.
	REDIS_URL string
}

var process = sync.OnceValues(func() (*Store, error) {
	s, err := Open(secrets.REDIS_URL)
	if err != nil {
		return nil, err
	}
	s.AddHook(measure{})
	opened.Store(s)
	return s, nil
})

// opened is the process's store, once it is there.
var opened atomic.Pointer[Store]

// Process is the Redis that everything in this process shares.
func Process() (*Store, error) { return process() }

// Open connects lazily: an error is only a URL that is none. With "" it starts a Redis of the process.
func Open(url string) (*Store, error) {
	if url != "" {
		opts, err := redis.ParseURL(url)
		if err != nil { // the library's text repeats the URL, password and all
			return nil, errors.New("keyvalue: REDIS_URL is not a Redis URL (redis://user:password@host:port/db)")
		}
		// A Redis that hangs costs a request as long as the request allows, not as long as it likes.
		opts.ContextTimeoutEnabled = true
		opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout = within, within, within
		return &Store{Client: redis.NewClient(opts)}, nil
	}
	e, err := startEmbedded()
	if err != nil {
		return nil, fmt.Errorf("keyvalue: %w", err)
	}
	return &Store{Client: redis.NewClient(&redis.Options{Addr: e.server.Addr(), Password: e.password}), embedded: e}, nil
}

// Embedded says that the Redis lives in this process.
func (s *Store) Embedded() bool { return s.embedded != nil }

// Close ends the client and the embedded Redis.
func (s *Store) Close() error {
	err := s.Client.Close()
	if s.embedded != nil {
		s.embedded.close()
	}
	return err
}

// embedded is a Redis in the process. Its clock stands still unless somebody moves it.
type embedded struct {
	server   *miniredis.Miniredis
	password string
	stop     chan struct{}
	clock    sync.WaitGroup
}

// within bounds one exchange with a Redis of its own.
const within = time.Second

// tick is how late a key of the embedded Redis may expire.
const tick = 100 * time.Millisecond

func startEmbedded() (*embedded, error) {
	e := &embedded{server: miniredis.NewMiniRedis(), password: rand.Text(), stop: make(chan struct{})}
	e.server.RequireAuth(e.password) // it listens on the loopback, where others live too
	if err := e.server.Start(); err != nil {
		return nil, err
	}
	e.clock.Go(func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for last := time.Now(); ; {
			select {
			case now := <-ticker.C:
				e.server.FastForward(now.Sub(last))
				last = now
			case <-e.stop:
				return
			}
		}
	})
	return e, nil
}

func (e *embedded) close() {
	close(e.stop)
	e.clock.Wait()
	e.server.Close()
}
