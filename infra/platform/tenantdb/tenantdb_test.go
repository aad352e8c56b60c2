package tenantdb

import (
	"context"
	"errors"
	"net"
	"testing"

	"encore.app/infra/platform/fault"
	"encore.dev/beta/errs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// nowhere is a pool to a port that nobody listens on.
func nowhere(t *testing.T) *DB {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(context.Background(), "postgres://user:canary@"+addr+"/db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return New(pool)
}

func TestADatabaseThatIsAwayIsSaidToBe(t *testing.T) {
	t.Parallel()
	ctx, db := context.Background(), nowhere(t)
	_, read := Rows(ctx, db, Scope{}, pgx.RowTo[int], "select 1")
	wrote := db.Tx(ctx, Scope{}, func(pgx.Tx) error { return nil })
	for name, err := range map[string]error{"read": read, "transaction": wrote} {
		e := fault.As(err)
		if e == nil || e.Code != errs.Unavailable || fault.DetailsOf(err).Part != "postgres" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestARequestThatWasGivenUpSaysNothingOfTheDatabase(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Rows(ctx, nowhere(t), Scope{}, pgx.RowTo[int], "select 1")
	if !errors.Is(err, context.Canceled) || fault.As(err) != nil {
		t.Errorf("got %v", err)
	}
}

func TestWhatTheDatabaseAnsweredIsNoOutage(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for code, away := range map[string]bool{
		"57P01": true,  // admin_shutdown
		"08006": true,  // connection_failure
		"23505": false, // unique_violation
		"42501": false, // insufficient_privilege
		"22021": false, // character_not_in_repertoire
	} {
		got := fault.As(reached(ctx, &pgconn.PgError{Code: code})) != nil
		if got != away {
			t.Errorf("%s: away %v, want %v", code, got, away)
		}
	}
	if err := reached(ctx, pgx.ErrNoRows); !errors.Is(err, pgx.ErrNoRows) || fault.As(err) != nil {
		t.Errorf("no rows: got %v", err)
	}
	if reached(ctx, nil) != nil {
		t.Error("nothing went wrong")
	}
}
