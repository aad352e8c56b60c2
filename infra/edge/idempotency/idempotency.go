// Package idempotency makes a write that is sent twice happen once (draft-ietf-httpapi-idempotency-
// key-header).
//
// A keyed request runs inside one transaction (see [tenantdb.Hold]) that ends with its answer: key,
// answer, change, audit event and outbox row are committed together or not at all. A crash at any
// moment therefore leaves either nothing, and the retry does the work, or everything, and the retry
// gets the first answer. Two requests with one key are told apart by a lock of that transaction, which
// dies with its connection: nothing has to expire before a retry may go on.
//
// Redis stands in front and answers repeats without a transaction. It is told after the commit, so it can
// lose an answer and never have one too many; whoever restores Postgres to an earlier moment empties it.
//
// A key belongs to its caller, organisation and route. It is stored as a hash, and the answer is
// encrypted under the key, so that what an answer shows once (a new API key) does not lie around.
package idempotency

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"encore.app/infra/platform/database"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/beta/errs"
	"encore.dev/storage/sqldb"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Header names the key; Replayed marks an answer that was kept.
const (
	Header   = "Idempotency-Key"
	Replayed = "Idempotency-Replayed"
)

// Kept is how long an answer is replayed.
const Kept = 24 * time.Hour

// Request is one attempt at a keyed write.
type Request struct {
	Caller, Org, Route, Key string
	Fingerprint             [sha256.Size]byte // of what is asked for
}

func (r Request) hash(purpose string) [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join([]string{purpose, r.Caller, r.Org, r.Route, r.Key}, "\x00")))
}

// Attempt is the first request with its key, while it runs.
type Attempt struct {
	hold        *tenantdb.Hold
	leave       func() // gives the turn back
	id          [sha256.Size]byte
	fingerprint [sha256.Size]byte
	seal        cipher.AEAD
}

const (
	lockKey   = "select pg_try_advisory_xact_lock($1)"
	selectKey = "select fingerprint, answer from edge.idempotency_keys where id = $1 and created_at > now() - make_interval(secs => $2)"
	insertKey = `
insert into edge.idempotency_keys as k (id, fingerprint, answer) values ($1, $2, $3)
on conflict (id) do update set fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = now()`
)

// Claim starts an attempt: everything written under the returned context waits for its end. If the
// key has an answer already, that is returned instead and there is no attempt.
//
// It refuses with idempotency_in_progress (409) while another attempt runs, with
// idempotency_key_reused (422) if the key was used for something else, and with
// dependency_unavailable.
func Claim(ctx context.Context, r Request) (held context.Context, a *Attempt, kept []byte, err error) {
	a = &Attempt{id: r.hash("id"), fingerprint: r.Fingerprint}
	if a.seal, err = newSeal(r.hash("answer")); err != nil {
		return ctx, nil, nil, err
	}
	if fingerprint, sealed, ok := inFront().recall(ctx, a.id); ok {
		kept, err = a.answer(fingerprint, sealed)
		if err == nil {
			results.WithLabelValues("replayed").Inc()
		}
		if !errors.Is(err, errSealed) { // what does not open is nothing of ours, and Postgres knows
			return ctx, nil, kept, err
		}
	}
	if a.leave, err = turn(ctx); err != nil {
		return ctx, nil, nil, err
	}
	if held, a.hold, err = open().Hold(ctx); err != nil {
		a.leave()
		return ctx, nil, nil, unavailable(err)
	}
	kept, err = a.claim(ctx)
	if err == nil && kept == nil {
		results.WithLabelValues("first").Inc()
		return held, a, nil, nil
	}
	a.Forget(ctx)
	if err == nil {
		results.WithLabelValues("replayed").Inc()
	}
	return ctx, nil, kept, err
}

// turns are as many as there may be attempts at once. Each keeps a connection, and may want another one for
// what is written whatever comes of it, the record of a denial for instance: if attempts could have them
// all, each would wait for one that none gives back.
var turns = sync.OnceValue(func() chan struct{} {
	return make(chan struct{}, max(1, open().Pool().Config().MaxConns/2))
})

func turn(ctx context.Context) (leave func(), err error) {
	select {
	case turns() <- struct{}{}:
		return sync.OnceFunc(func() { <-turns() }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// claim takes the key, or finds its answer.
func (a *Attempt) claim(ctx context.Context) (kept []byte, err error) {
	tx := a.hold.Tx()
	var locked bool
	if err := tx.QueryRow(ctx, lockKey, int64(binary.BigEndian.Uint64(a.id[:8]))).Scan(&locked); err != nil {
		return nil, unavailable(err)
	}
	if !locked {
		results.WithLabelValues("in_progress").Inc()
		return nil, fault.New(errs.Aborted, fault.IdempotencyInProgress, "the first request with this Idempotency-Key is still running")
	}
	// A statement of its own: it must see what the holder of the lock before us committed.
	var fingerprint, sealed []byte
	err = tx.QueryRow(ctx, selectKey, a.id[:], Kept.Seconds()).Scan(&fingerprint, &sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err := tx.Exec(ctx, "savepoint effect"); err != nil {
			return nil, unavailable(err)
		}
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return a.answer(fingerprint, sealed)
}

// answer is what was kept, for a request that asks for the same.
func (a *Attempt) answer(fingerprint, sealed []byte) ([]byte, error) {
	kept, err := a.unseal(sealed)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(fingerprint, a.fingerprint[:]) != 1 {
		results.WithLabelValues("reused").Inc()
		return nil, fault.KeyReused()
	}
	return kept, nil
}

// Keep ends the attempt with its answer: what was written counts, and so does the answer, or neither.
func (a *Attempt) Keep(ctx context.Context, answer []byte) error { return a.end(ctx, answer, true) }

// Refuse ends the attempt with an answer that refuses it: nothing that was written counts.
func (a *Attempt) Refuse(ctx context.Context, answer []byte) error { return a.end(ctx, answer, false) }

// Forget ends the attempt without an answer: the next request with the key is the first again. After
// Keep or Refuse it does nothing.
func (a *Attempt) Forget(ctx context.Context) {
	a.hold.Rollback(context.WithoutCancel(ctx))
	a.leave()
}

func (a *Attempt) end(ctx context.Context, answer []byte, effect bool) error {
	nonce := make([]byte, a.seal.NonceSize(), a.seal.NonceSize()+len(answer)+a.seal.Overhead())
	rand.Read(nonce)
	sealed := a.seal.Seal(nonce, nonce, answer, a.id[:])
	var batch pgx.Batch
	if !effect {
		batch.Queue("rollback to savepoint effect")
	}
	batch.Queue(insertKey, a.id[:], a.fingerprint[:], sealed)
	tx := a.hold.Tx()
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return unavailable(err)
	}
	if err := a.hold.Commit(ctx); err != nil {
		return unavailable(err)
	}
	a.leave()
	inFront().remember(ctx, a.id, a.fingerprint, sealed)
	return nil
}

func (a *Attempt) unseal(sealed []byte) ([]byte, error) {
	n := a.seal.NonceSize()
	if len(sealed) < n {
		return nil, errSealed
	}
	answer, err := a.seal.Open(nil, sealed[:n], sealed[n:], a.id[:])
	if err != nil {
		return nil, errSealed
	}
	return answer, nil
}

var errSealed = errors.New("idempotency: a kept answer does not open")

func newSeal(key [sha256.Size]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("idempotency: %w", err)
	}
	return cipher.NewGCM(block)
}

// unavailable refuses a keyed write whose key cannot be looked after: better none than two.
func unavailable(err error) error {
	if e := fault.As(err); e != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.Unavailable("postgres", fmt.Errorf("idempotency: %w", err))
}

func open() *tenantdb.DB { return tenantdb.New(sqldb.Driver[*pgxpool.Pool](database.DB)) }
