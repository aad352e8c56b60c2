package idempotency

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// forget empties the front of a key, as time or a lost Redis would.
func forget(t *testing.T, id [sha256.Size]byte) {
	t.Helper()
	if err := inFront().redis.Del(context.Background(), frontKey(id)).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestARepeatNeedsNoPostgresOrNoRedis(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, id [sha256.Size]byte){
		"Redis": forget,
		"the row": func(t *testing.T, id [sha256.Size]byte) {
			t.Helper()
			err := open().Tx(context.Background(), tenantdb.Scope{}, func(tx pgx.Tx) error {
				_, err := tx.Exec(context.Background(), "delete from edge.idempotency_keys where id = $1", id[:])
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, r := context.Background(), request(rowid.New().String())
			_, a, _, err := Claim(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Keep(ctx, []byte("yes")); err != nil {
				t.Fatal(err)
			}
			lose(t, r.hash("id"))
			if _, a, kept, err := Claim(ctx, r); err != nil || a != nil || string(kept) != "yes" {
				t.Errorf("got %q, %v", kept, err)
			}
			r.Fingerprint[0]++
			if _, _, _, err := Claim(ctx, r); fault.DetailsOf(err).Reason != fault.IdempotencyReused {
				t.Errorf("something else: %v", err)
			}
		})
	}
}

func TestGarbageInFrontIsNoAnswer(t *testing.T) {
	t.Parallel()
	ctx, r := context.Background(), request(rowid.New().String())
	_, a, _, err := Claim(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Keep(ctx, []byte("yes")); err != nil {
		t.Fatal(err)
	}
	for _, garbage := range []int{1, sha256.Size, sha256.Size + 1, 200} {
		if err := inFront().redis.Set(ctx, frontKey(r.hash("id")), make([]byte, garbage), time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		if _, a, kept, err := Claim(ctx, r); err != nil || a != nil || string(kept) != "yes" {
			t.Errorf("%d bytes of it: got %q, %v", garbage, kept, err)
		}
	}
}

// What is not committed is not in front either.
func TestNothingStandsInFrontOfWhatDidNotHappen(t *testing.T) {
	t.Parallel()
	ctx, r := context.Background(), request(rowid.New().String())
	_, a, _, err := Claim(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.hold.Tx().Exec(ctx, "select pg_terminate_backend(pg_backend_pid())"); err == nil {
		t.Fatal("it lives")
	}
	if err := a.Keep(ctx, []byte("yes")); err == nil {
		t.Fatal("kept by nobody")
	}
	if _, _, ok := inFront().recall(ctx, r.hash("id")); ok {
		t.Error("Redis has an answer that Postgres never had")
	}
}

// A Redis that fails is left alone for a moment, and costs nobody more than that.
func TestAFrontThatIsAwayIsLeftAlone(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { client.Close() })
	f := &front{redis: client}
	var id [sha256.Size]byte
	if _, _, ok := f.recall(context.Background(), id); ok || f.away.Load() == 0 {
		t.Error("it answered, or is asked again at once")
	}
	asked := 0
	f.ask(context.Background(), func(context.Context) error { asked++; return nil })
	if asked != 0 {
		t.Error("it was asked while it rests")
	}
	var none *front
	none.ask(context.Background(), func(context.Context) error { asked++; return nil })
	if asked != 0 {
		t.Error("nobody was asked")
	}
}
