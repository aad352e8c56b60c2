package db

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Handle is one database of the app.
type Handle struct {
	name string

	mu      sync.Mutex
	pool    *pgxpool.Pool
	hooks   []func(context.Context, *pgx.Conn) error
	target  *target
	resolve func(context.Context) (*target, error)
}

// target is where the connections of a handle go.
type target struct {
	login *pgx.ConnConfig // as the login role
	role  string          // what every pool connection becomes; "" stays the login role
	super bool            // the pool may bypass row-level security (tests only)
}

var (
	handlesMu sync.Mutex
	handles   = map[string]*Handle{}
	tables    []string // statements that make the host's own tables
)

// NeedTable has a table of the host's made in the first database. The statement
// must tolerate that it exists.
func NeedTable(statement string) {
	handlesMu.Lock()
	defer handlesMu.Unlock()
	if !slices.Contains(tables, statement) {
		tables = append(tables, statement)
	}
}

func neededTables() []string {
	handlesMu.Lock()
	defer handlesMu.Unlock()
	return slices.Clone(tables)
}

// Named returns the handle of a database; the same one for the same name.
func Named(name string) *Handle {
	handlesMu.Lock()
	defer handlesMu.Unlock()
	h := handles[name]
	if h == nil {
		h = newHandle(name, nil)
		if testing.Testing() {
			h.resolve = func(ctx context.Context) (*target, error) { return sharedTestDatabase(ctx, name) }
		}
		handles[name] = h
	}
	return h
}

func newHandle(name string, resolve func(context.Context) (*target, error)) *Handle {
	return &Handle{name: name, resolve: resolve}
}

// all returns every handle, ordered by name.
func all() []*Handle {
	handlesMu.Lock()
	defer handlesMu.Unlock()
	list := make([]*Handle, 0, len(handles))
	for _, h := range handles {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b *Handle) int { return strings.Compare(a.name, b.name) })
	return list
}

// First returns the app's first database by name, nil if it has none. The host
// keeps its own rows there.
func First() *Handle {
	if list := all(); len(list) > 0 {
		return list[0]
	}
	return nil
}

// Name is the name the app declared.
func (h *Handle) Name() string { return h.name }

// AddAfterConnect runs f on every connection made from now on.
func (h *Handle) AddAfterConnect(f func(context.Context, *pgx.Conn) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hooks = append(h.hooks, f)
}

// Pool returns the connection pool. It does not connect by itself.
func (h *Handle) Pool() *pgxpool.Pool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pool == nil {
		h.pool = h.newPool()
	}
	return h.pool
}

func (h *Handle) newPool() *pgxpool.Pool {
	// A placeholder: aim replaces it at each connection. The host is given so
	// that PG* variables of the environment cannot make the parser fail.
	cfg, err := pgxpool.ParseConfig("host=localhost port=5432 sslmode=disable")
	if err != nil {
		panic(fmt.Sprintf("db: placeholder configuration: %v", err))
	}
	cfg.MaxConns = maxConns()
	cfg.BeforeConnect = h.aim
	cfg.AfterConnect = h.connected
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		panic(fmt.Sprintf("db: pool configuration: %v", err))
	}
	return pool
}

func maxConns() int32 {
	if n, err := maxConnsSet(); err == nil && n > 0 {
		return n
	}
	return int32(max(10, 4*runtime.GOMAXPROCS(0)))
}

// CheckMaxConns refuses a HOST_DB_MAX_CONNS that is not understood.
func CheckMaxConns() error {
	_, err := maxConnsSet()
	return err
}

// maxConnsSet is what HOST_DB_MAX_CONNS says; 0 if it says nothing.
func maxConnsSet() (int32, error) {
	text := os.Getenv("HOST_DB_MAX_CONNS")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 2 {
		return 0, fmt.Errorf("HOST_DB_MAX_CONNS is %q; it must be a number of connections, at least 2", text)
	}
	return int32(n), nil
}

// aim points a new connection at the handle's database.
func (h *Handle) aim(ctx context.Context, cfg *pgx.ConnConfig) error {
	t, err := h.where(ctx)
	if err != nil {
		return err
	}
	*cfg = *t.login.Copy()
	if cfg.ConnectTimeout <= 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	if t.role != "" {
		// As a start-up setting rather than SET ROLE, so that RESET ROLE and
		// DISCARD ALL come back to it.
		cfg.RuntimeParams["role"] = t.role
	}
	return nil
}

func (h *Handle) where(ctx context.Context) (*target, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.target != nil {
		return h.target, nil
	}
	if h.resolve == nil {
		return nil, fmt.Errorf("database %q was used before the app started", h.name)
	}
	t, err := h.resolve(ctx)
	if err != nil {
		return nil, err
	}
	h.target = t
	return t, nil
}

func (h *Handle) settle(t *target) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.target = t
}

func (h *Handle) connected(ctx context.Context, conn *pgx.Conn) error {
	h.mu.Lock()
	hooks, t := slices.Clone(h.hooks), h.target
	h.mu.Unlock()
	if !t.super {
		p, err := rolePrivileges(ctx, conn)
		if err != nil {
			return err
		}
		if p.bypassesRLS() {
			return fmt.Errorf("database %q: role %q bypasses row-level security and the app must not run as it", h.name, p.name)
		}
	}
	for _, f := range hooks {
		if err := f(ctx, conn); err != nil {
			return err
		}
	}
	return nil
}

// close ends the pool. It waits for connections in use, so ctx bounds it.
func (h *Handle) close(ctx context.Context) error {
	h.mu.Lock()
	pool := h.pool
	h.mu.Unlock()
	if pool == nil {
		return nil
	}
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("database %q: connections still in use", h.name)
	}
}
