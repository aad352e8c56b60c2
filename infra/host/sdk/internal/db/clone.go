package db

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"encore.dev/internal/registry"
)

// clones owns the copies that this test process made. A process cannot know
// when its tests are over, so it holds a lock in its name for as long as it
// lives; the next process that clones drops the copies of those that died.
var clones struct {
	mu     sync.Mutex
	token  string
	holder *testServer
	count  atomic.Int64
}

const cloneInfix = "_c"

// Clone makes a database of its own for one test: a copy of the migrated
// template without what other tests wrote.
func Clone(ctx context.Context, name string) (*Handle, error) {
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	s, err := openTestServer(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if _, err := s.shared(ctx, name, registry.Process().Migrations(name)); err != nil {
		return nil, err
	}
	token, err := cloneToken(ctx, s)
	if err != nil {
		return nil, err
	}
	shared := testName(name, s.run)
	database := shared + cloneInfix + token + "_" + strconv.FormatInt(clones.count.Add(1), 36)
	if err := s.create(ctx, database, shared+"_tmpl"); err != nil {
		return nil, err
	}
	t, err := s.target(ctx, name, database)
	if err != nil {
		return nil, err
	}
	h := newHandle(name, nil)
	h.settle(t)
	return h, nil
}

// Superuser returns a handle on the same database whose connections stay the
// login role, for test set-up that the app itself may not do.
func (h *Handle) Superuser(ctx context.Context) (*Handle, error) {
	t, err := h.where(ctx)
	if err != nil {
		return nil, err
	}
	su := newHandle(h.name, nil)
	su.settle(&target{login: t.login, super: true})
	return su, nil
}

// cloneToken is this process's name in its clones' names.
func cloneToken(ctx context.Context, s *testServer) (string, error) {
	clones.mu.Lock()
	defer clones.mu.Unlock()
	if clones.token != "" {
		return clones.token, nil
	}
	random := make([]byte, 4)
	_, _ = rand.Read(random)
	token := hex.EncodeToString(random)
	holder, err := openServer(context.WithoutCancel(ctx), s.run)
	if err != nil {
		return "", err
	}
	if _, err := lock(ctx, holder.conn, "clones "+token); err != nil {
		holder.close()
		return "", err
	}
	clones.token, clones.holder = token, holder
	return token, dropOrphans(ctx, s)
}

// dropOrphans drops the clones of processes that are gone.
func dropOrphans(ctx context.Context, s *testServer) error {
	names, err := s.databases(ctx, s.run)
	if err != nil {
		return err
	}
	for _, database := range names {
		_, tail, ok := strings.Cut(database, "_test_"+s.run+cloneInfix)
		if !ok {
			continue
		}
		token, _, _ := strings.Cut(tail, "_")
		var dead bool
		if err := s.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, lockKey("clones "+token)).Scan(&dead); err != nil {
			return err
		}
		if !dead {
			continue
		}
		dropped := s.drop(ctx, database)
		if _, err := s.conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, lockKey("clones "+token)); err != nil {
			return err
		}
		if dropped != nil {
			return dropped
		}
	}
	return nil
}

// databases lists the run's test databases, templates and clones included.
func (s *testServer) databases(ctx context.Context, run string) ([]string, error) {
	rows, err := s.conn.Query(ctx, `SELECT datname FROM pg_database
		WHERE shobj_description(oid, 'pg_database') LIKE $1 || '%' AND datname ~ ('_test_' || $2 || '($|_tmpl$|`+cloneInfix+`[0-9a-f]{8}_)')
		ORDER BY datname`, testMark, run)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// DropTestDatabases drops every test database of a run. Its test binaries must have ended.
func DropTestDatabases(ctx context.Context, run string) error {
	if !runName.MatchString(run) {
		return fmt.Errorf("test run %q must match %s", run, runName)
	}
	s, err := openServer(ctx, run)
	if err != nil {
		return err
	}
	defer s.close()
	names, err := s.databases(ctx, run)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.drop(ctx, name); err != nil {
			return fmt.Errorf("drop test database %q: %w", name, err)
		}
	}
	return nil
}
