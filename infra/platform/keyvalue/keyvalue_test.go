package keyvalue

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// stores are the embedded Redis and, where the run has one, the real one: both keep the same promises.
func stores(t *testing.T) map[string]*Store {
	t.Helper()
	urls := map[string]string{"embedded": ""}
	if url := os.Getenv("REDIS_URL"); url != "" {
		urls["real"] = url
	}
	out := map[string]*Store{}
	for name, url := range urls {
		s, err := Open(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		out[name] = s
	}
	return out
}

func TestAKeyExpiresByItself(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, s := range stores(t) {
		key := t.Name() + time.Now().String()
		if err := s.Set(ctx, key, "v", 200*time.Millisecond).Err(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if v, err := s.Get(ctx, key).Result(); err != nil || v != "v" {
			t.Fatalf("%s: got %q, %v", name, v, err)
		}
		poll := time.NewTicker(20 * time.Millisecond)
		for deadline := time.Now().Add(5 * time.Second); s.Exists(ctx, key).Val() != 0; <-poll.C {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the key never expired", name)
			}
		}
		poll.Stop()
	}
}

func TestTheEmbeddedOneWantsItsPassword(t *testing.T) {
	t.Parallel()
	s, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stranger := redis.NewClient(&redis.Options{Addr: s.Options().Addr})
	defer stranger.Close()
	if err := stranger.Ping(context.Background()).Err(); err == nil {
		t.Error("a stranger was let in")
	}
	if !s.Embedded() {
		t.Error("it does not know that it is embedded")
	}
}

func TestABadURLIsNamedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	_, err := Open("http://user:canary@host")
	if err == nil || !strings.Contains(err.Error(), "REDIS_URL") || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}
