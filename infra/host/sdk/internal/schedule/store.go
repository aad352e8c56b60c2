package schedule

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Store remembers each job's last tick and who runs it.
type Store interface {
	// Last is the last tick that was run. A job that was never seen gets now.
	Last(ctx context.Context, job string, now time.Time) (time.Time, error)
	// Claim takes the lease to run a tick, unless the tick was run or somebody holds the lease.
	Claim(ctx context.Context, job string, tick time.Time, lease time.Duration) (bool, error)
	// Extend holds the lease for longer.
	Extend(ctx context.Context, job string, lease time.Duration) error
	// Finish records that the claimed tick was run and gives the lease back.
	Finish(ctx context.Context, job string, tick time.Time) error
	// Release gives the lease back; the tick is still to be run.
	Release(ctx context.Context, job string) error
}

// Table is what [Postgres] needs in its database.
const Table = `CREATE TABLE IF NOT EXISTS encore_cron (
	job text PRIMARY KEY,
	last_tick timestamptz NOT NULL,
	locked_by text,
	locked_until timestamptz
)`

// Postgres is the store that replicas share. Leases run on the database's clock.
type Postgres struct {
	pool  *pgxpool.Pool
	owner string
}

var _ Store = (*Postgres)(nil)

// NewPostgres makes the store of one process. The owner must differ between processes.
func NewPostgres(pool *pgxpool.Pool, owner string) *Postgres {
	return &Postgres{pool: pool, owner: owner}
}

func (p *Postgres) Last(ctx context.Context, job string, now time.Time) (time.Time, error) {
	_, err := p.pool.Exec(ctx, `INSERT INTO encore_cron (job, last_tick) VALUES ($1, $2) ON CONFLICT DO NOTHING`, job, now)
	if err != nil {
		return time.Time{}, err
	}
	var last time.Time
	err = p.pool.QueryRow(ctx, `SELECT last_tick FROM encore_cron WHERE job = $1`, job).Scan(&last)
	return last, err
}

func (p *Postgres) Claim(ctx context.Context, job string, tick time.Time, lease time.Duration) (bool, error) {
	tag, err := p.pool.Exec(ctx, `UPDATE encore_cron SET locked_by = $3, locked_until = now() + $4::interval
		WHERE job = $1 AND last_tick < $2 AND (locked_until IS NULL OR locked_until < now())`,
		job, tick, p.owner, lease)
	return tag.RowsAffected() == 1, err
}

func (p *Postgres) Extend(ctx context.Context, job string, lease time.Duration) error {
	return p.held(p.pool.Exec(ctx, `UPDATE encore_cron SET locked_until = now() + $3::interval WHERE job = $1 AND locked_by = $2`,
		job, p.owner, lease))
}

func (p *Postgres) Finish(ctx context.Context, job string, tick time.Time) error {
	return p.held(p.pool.Exec(ctx, `UPDATE encore_cron SET last_tick = $3, locked_by = NULL, locked_until = NULL WHERE job = $1 AND locked_by = $2`,
		job, p.owner, tick))
}

func (p *Postgres) Release(ctx context.Context, job string) error {
	return p.held(p.pool.Exec(ctx, `UPDATE encore_cron SET locked_by = NULL, locked_until = NULL WHERE job = $1 AND locked_by = $2`,
		job, p.owner))
}

// held turns a statement that found no lease of ours into an error.
func (p *Postgres) held(tag pgconn.CommandTag, err error) error {
	if err == nil && tag.RowsAffected() == 0 {
		return fmt.Errorf("the lease was lost to another process")
	}
	return err
}

// Memory is the store of an app without a database: one process, and ticks
// missed while it was down are missed.
type Memory struct {
	mu   sync.Mutex
	last map[string]time.Time
}

var _ Store = (*Memory)(nil)

func (m *Memory) Last(_ context.Context, job string, now time.Time) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last == nil {
		m.last = map[string]time.Time{}
	}
	if _, seen := m.last[job]; !seen {
		m.last[job] = now
	}
	return m.last[job], nil
}

func (m *Memory) Claim(context.Context, string, time.Time, time.Duration) (bool, error) {
	return true, nil
}

func (m *Memory) Extend(context.Context, string, time.Duration) error { return nil }

func (m *Memory) Finish(_ context.Context, job string, tick time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last[job] = tick
	return nil
}

func (m *Memory) Release(context.Context, string) error { return nil }
