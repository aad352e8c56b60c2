package orgs

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"encore.app/infra/platform/tenantdb"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// turns counts how often a connection begins to write after it was answered: its round trips.
type turns struct {
	net.Conn
	asking *atomic.Bool
	count  *atomic.Int64
}

func (c turns) Write(b []byte) (int, error) {
	if !c.asking.Swap(true) {
		c.count.Add(1)
	}
	return c.Conn.Write(b)
}

func (c turns) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.asking.Store(false)
	}
	return n, err
}

// The context of row-level security costs no round trip of its own.
func TestTheContextTravelsWithTheStatement(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	cfg := open().db.Pool().Config()
	cfg.MinConns, cfg.MaxConns = 0, 1
	var count atomic.Int64
	before := cfg.BeforeConnect
	cfg.BeforeConnect = func(ctx context.Context, cfg *pgx.ConnConfig) error {
		if before != nil {
			if err := before(ctx, cfg); err != nil {
				return err
			}
		}
		dial := cfg.DialFunc
		cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return turns{Conn: conn, asking: new(atomic.Bool), count: &count}, err
		}
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	db := tenantdb.New(pool)
	const mine = "select count(*) from orgs.projects where org_id = $1"
	for name, c := range map[string]struct {
		trips int64
		run   func() error
	}{
		"a query": {1, func() error {
			n, err := tenantdb.Row(ctx, db, tenantdb.Org(b.org), pgx.RowTo[int], mine, b.org)
			if err == nil && n != 1 {
				t.Errorf("sees %d projects, has one", n)
			}
			return err
		}},
		"a batch": {1, func() error {
			var batch pgx.Batch
			batch.Queue(mine, b.org)
			batch.Queue(mine, b.org)
			return db.Send(ctx, tenantdb.Org(b.org), &batch)
		}},
		"a transaction of one statement": {3, func() error { // it, with its context before it, and the end
			return db.Tx(ctx, tenantdb.Org(b.org), func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, mine, b.org)
				return err
			})
		}},
	} {
		if err := c.run(); err != nil { // prepares its statements
			t.Fatalf("%s: %v", name, err)
		}
		earlier := count.Load()
		if err := c.run(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := count.Load() - earlier; got != c.trips {
			t.Errorf("%s: %d round trips, want %d", name, got, c.trips)
		}
	}
}
