package idempotency

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/outbox"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"
)

func request(key string) Request {
	return Request{Caller: "u", Org: "o", Route: "svc.Write", Key: key, Fingerprint: sha256.Sum256([]byte("body"))}
}

// effect is a write of the kind that endpoints do: its own call of Tx, somewhere below.
func effect(ctx context.Context, topic string) error {
	return open().Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
		return outbox.Add(ctx, tx, topic, rowid.New(), "effect")
	})
}

func effects(t *testing.T, topic string) int {
	t.Helper()
	n, err := tenantdb.Row(context.Background(), open(), tenantdb.Platform(), pgx.RowTo[int],
		"select count(*) from platform.outbox where topic = $1", topic)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTheAnswerIsKeptWithItsEffectOrNeither(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end     func(context.Context, *Attempt) error
		effects int
		kept    string
	}{
		"kept":      {func(ctx context.Context, a *Attempt) error { return a.Keep(ctx, []byte("yes")) }, 1, "yes"},
		"refused":   {func(ctx context.Context, a *Attempt) error { return a.Refuse(ctx, []byte("no")) }, 0, "no"},
		"forgotten": {func(ctx context.Context, a *Attempt) error { a.Forget(ctx); return nil }, 0, ""},
		"the connection dies": {func(ctx context.Context, a *Attempt) error {
			backend := a.hold.Tx().Conn().PgConn().PID()
			if _, err := a.hold.Tx().Exec(ctx, "select pg_terminate_backend(pg_backend_pid())"); err == nil {
				return errors.New("it lives")
			}
			// A backend says that it ends before it lets go of its locks.
			for n := 1; n > 0; {
				var err error
				n, err = tenantdb.Row(ctx, open(), tenantdb.Platform(), pgx.RowTo[int], "select count(*) from pg_locks where pid = $1", backend)
				if err != nil {
					return err
				}
			}
			if err := a.Keep(ctx, []byte("yes")); err == nil {
				return errors.New("kept by nobody")
			}
			return nil
		}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, r, topic := context.Background(), request(rowid.New().String()), "t-"+rowid.New().String()
			held, a, _, err := Claim(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Forget(ctx)
			if err := effect(held, topic); err != nil {
				t.Fatal(err)
			}
			if err := c.end(ctx, a); err != nil {
				t.Fatal(err)
			}
			if n := effects(t, topic); n != c.effects {
				t.Errorf("%d effects, want %d", n, c.effects)
			}
			_, again, kept, err := Claim(ctx, r)
			if err != nil || string(kept) != c.kept || (again == nil) != (c.kept != "") {
				t.Errorf("the retry got %q, %v", kept, err)
			}
			if again != nil {
				again.Forget(ctx)
			}
		})
	}
}

func TestWhatIsReadUnderAHoldIsWhatWasWritten(t *testing.T) {
	t.Parallel()
	ctx, topic := context.Background(), "t-"+rowid.New().String()
	held, a, _, err := Claim(ctx, request(rowid.New().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Forget(ctx)
	if err := effect(held, topic); err != nil {
		t.Fatal(err)
	}
	undo := errors.New("undo")
	err = open().Tx(held, tenantdb.Platform(), func(tx pgx.Tx) error {
		if err := outbox.Add(held, tx, topic, rowid.New(), "more"); err != nil {
			return err
		}
		return undo
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	n, err := tenantdb.Row(held, open(), tenantdb.Platform(), pgx.RowTo[int], "select count(*) from platform.outbox where topic = $1", topic)
	if err != nil || n != 1 {
		t.Errorf("inside: %d, %v; want the one that was not undone", n, err)
	}
	if n := effects(t, topic); n != 0 {
		t.Errorf("outside: %d before the commit", n)
	}
	if n, err := tenantdb.Row(tenantdb.Released(held), open(), tenantdb.Platform(), pgx.RowTo[int],
		"select count(*) from platform.outbox where topic = $1", topic); err != nil || n != 0 {
		t.Errorf("released: %d, %v", n, err)
	}
}

func TestAKeyIsOneRequest(t *testing.T) {
	t.Parallel()
	ctx, r := context.Background(), request(rowid.New().String())
	_, a, _, err := Claim(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := Claim(ctx, r); fault.DetailsOf(err).Reason != fault.IdempotencyInProgress || fault.Status(err) != http.StatusConflict {
		t.Errorf("while it runs: %v", err)
	}
	if err := a.Keep(ctx, []byte("yes")); err != nil {
		t.Fatal(err)
	}
	other := r
	other.Fingerprint[0]++
	if _, _, _, err := Claim(ctx, other); fault.DetailsOf(err).Reason != fault.IdempotencyReused || fault.Status(err) != http.StatusUnprocessableEntity {
		t.Errorf("another body: %v", err)
	}
	for name, theirs := range map[string]Request{
		"another caller":       {Caller: "v", Org: r.Org, Route: r.Route, Key: r.Key, Fingerprint: r.Fingerprint},
		"another organisation": {Caller: r.Caller, Org: "p", Route: r.Route, Key: r.Key, Fingerprint: r.Fingerprint},
		"another route":        {Caller: r.Caller, Org: r.Org, Route: "svc.Other", Key: r.Key, Fingerprint: r.Fingerprint},
	} {
		_, b, kept, err := Claim(ctx, theirs)
		if err != nil || b == nil || kept != nil {
			t.Errorf("%s got the answer: %q, %v", name, kept, err)
			continue
		}
		b.Forget(ctx)
	}
}

// Attempts leave connections to what they need besides. Not parallel: it takes every turn.
func TestAttemptsDoNotTakeEveryConnection(t *testing.T) {
	ctx := context.Background()
	var attempts []*Attempt
	for range cap(turns()) {
		_, a, _, err := Claim(ctx, request(rowid.New().String()))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Forget(ctx)
		attempts = append(attempts, a)
	}
	late, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, _, _, err := Claim(late, request(rowid.New().String())); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one more than there are turns: %v", err)
	}
	if err := effect(ctx, "t-"+rowid.New().String()); err != nil {
		t.Errorf("beside them: %v", err)
	}
	attempts[0].Forget(ctx)
	if _, a, _, err := Claim(ctx, request(rowid.New().String())); err != nil {
		t.Errorf("after one has ended: %v", err)
	} else {
		a.Forget(ctx)
	}
}

func TestOneOfManyDoesTheWork(t *testing.T) {
	t.Parallel()
	ctx, r, topic := context.Background(), request(rowid.New().String()), "t-"+rowid.New().String()
	var first, replayed, running atomic.Int32
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			for range 5 {
				held, a, kept, err := Claim(ctx, r)
				switch {
				case fault.DetailsOf(err).Reason == fault.IdempotencyInProgress:
					running.Add(1)
				case err != nil:
					t.Error(err)
				case a == nil && string(kept) == "yes":
					replayed.Add(1)
				default:
					first.Add(1)
					if err := errors.Join(effect(held, topic), a.Keep(ctx, []byte("yes"))); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if n := effects(t, topic); n != 1 || first.Load() != 1 || first.Load()+replayed.Load()+running.Load() != 200 {
		t.Errorf("%d effects; %d first, %d replayed, %d still running", n, first.Load(), replayed.Load(), running.Load())
	}
}

func TestAnExpiredAnswerIsForgotten(t *testing.T) {
	t.Parallel()
	ctx, r := context.Background(), request(rowid.New().String())
	id := r.hash("id")
	_, a, _, err := Claim(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Keep(ctx, []byte("old")); err != nil {
		t.Fatal(err)
	}
	age := func() {
		t.Helper()
		forget(t, id)
		err := open().Tx(ctx, tenantdb.Scope{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "update edge.idempotency_keys set created_at = now() - interval '25 hours' where id = $1", id[:])
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	age()
	_, b, kept, err := Claim(ctx, r)
	if err != nil || b == nil {
		t.Fatalf("got %q, %v", kept, err)
	}
	if err := b.Keep(ctx, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if _, _, kept, err := Claim(ctx, r); err != nil || string(kept) != "new" {
		t.Errorf("got %q, %v", kept, err)
	}
	age()
	if err := Reap(ctx); err != nil {
		t.Fatal(err)
	}
	n, err := tenantdb.Row(ctx, open(), tenantdb.Scope{}, pgx.RowTo[int], "select count(*) from edge.idempotency_keys where id = $1", id[:])
	if err != nil || n != 0 {
		t.Errorf("%d rows are left, %v", n, err)
	}
}

func TestNothingAtRestTellsTheAnswer(t *testing.T) {
	t.Parallel()
	ctx, r := context.Background(), request("key-"+rowid.New().String())
	_, a, _, err := Claim(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Keep(ctx, []byte("canary")); err != nil {
		t.Fatal(err)
	}
	id := r.hash("id")
	n, err := tenantdb.Row(ctx, open(), tenantdb.Scope{}, pgx.RowTo[int], `
select count(*) from edge.idempotency_keys k where id = $1 and position('canary'::bytea in answer) = 0 and position($2::bytea in k::text::bytea) = 0`,
		id[:], []byte(r.Key))
	if err != nil || n != 1 {
		t.Errorf("%d rows keep the secret, %v", n, err)
	}
}

func TestKeysAreReadAsTheyAreSent(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"abc": "abc", `"abc"`: "abc", " abc ": "abc", `"a\"b"`: `a"b`,
		`"a\\b"`: `a\b`, `"a b"`: "a b", "a b": "a b", `a"b`: `a"b`, strings.Repeat("a", maxKey): strings.Repeat("a", maxKey),
		"": "", " ": "", `""`: "", `"abc`: "", `abc"`: `abc"`, `"`: "", `"a"b"`: "", `"a\x"`: "", `"a\"`: "", `"a";p=1`: "",
		"a\x01b": "", "a\tb": "", "é": "", strings.Repeat("a", maxKey+1): "",
	} {
		got, err := ParseKey(header)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", header, got, err)
		}
	}
	for _, headers := range [][]string{{}, {"a", "a"}, {"", "a"}} {
		if key, err := ParseKey(headers...); err == nil {
			t.Errorf("%q: got %q", headers, key)
		}
	}
}

type created struct {
	ID         string `json:"id"`
	ETag       string `header:"ETag" json:"-"`
	HTTPStatus int    `json:"-" encore:"httpstatus"`
}

func TestAnAnswerComesBackWhole(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]Answer{
		"payload": {Payload: &created{ID: "1", ETag: `"1"`, HTTPStatus: 201}},
		"nothing": {},
		"refusal": {Err: fault.WithStatus(&errs.Error{Code: errs.Aborted, Message: "m",
			Details: fault.Details{Reason: fault.VersionConflict, RequestID: "r"}}, 412), Status: 412},
	} {
		text, err := a.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(text, reflect.TypeFor[*created]())
		if err != nil {
			t.Fatal(err)
		}
		if a.Payload != nil && *got.Payload.(*created) != *a.Payload.(*created) {
			t.Errorf("%s: got %+v", name, got.Payload)
		}
		if (got.Err == nil) != (a.Err == nil) || a.Err != nil &&
			(fault.Status(got.Err) != 412 || !reflect.DeepEqual(got.Err.Details, a.Err.Details) || got.Err.Message != "m") {
			t.Errorf("%s: got %+v", name, got.Err)
		}
	}
}
