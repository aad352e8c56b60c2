package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"encore.dev/internal/lifecycle"
	"encore.dev/internal/registry"
	"encore.dev/rlog"
	"encore.dev/shutdown"
)

const connectTimeout = 10 * time.Second

func init() {
	lifecycle.Add(lifecycle.Component{
		Name:   "databases",
		Stage:  lifecycle.Resources,
		Start:  Start,
		Stop:   stop,
		Health: health,
	})
}

// Start connects to every database of the app, migrates it unless HOST_MIGRATE
// is off, and opens its pool for use.
func Start(ctx context.Context) error {
	return each(ctx, func(ctx context.Context, h *Handle, only bool) error {
		return h.start(ctx, only, os.Getenv("HOST_MIGRATE") != "off")
	})
}

// Migrate migrates every database of the app, whatever HOST_MIGRATE says.
func Migrate(ctx context.Context) error {
	return each(ctx, func(ctx context.Context, h *Handle, only bool) error {
		_, err := h.prepare(ctx, only, true)
		return err
	})
}

// each runs f for all databases together and joins what went wrong.
func each(ctx context.Context, f func(ctx context.Context, h *Handle, only bool) error) error {
	list := all()
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, h := range list {
		wg.Go(func() { errs[i] = f(ctx, h, len(list) == 1) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (h *Handle) start(ctx context.Context, only, doMigrate bool) error {
	t, err := h.prepare(ctx, only, doMigrate)
	if err != nil {
		return err
	}
	h.settle(t)
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return h.Pool().Ping(ctx)
}

// prepare decides where the handle's connections go, over one connection of
// the login role.
func (h *Handle) prepare(ctx context.Context, only, doMigrate bool) (*target, error) {
	cfg, variable, err := login(h.name, only)
	if err != nil {
		return nil, err
	}
	conn, err := connect(ctx, cfg)
	if err != nil {
		return nil, unreachable(variable, cfg, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost with it

	files := registry.Process().Migrations(h.name)
	if doMigrate {
		s, err := migrate(ctx, conn, h.name, files)
		if err != nil {
			return nil, err
		}
		if s.newer() {
			rlog.Warn("database schema is newer than this code", "database", h.name, "version", s.version, "known", s.latest)
		}
		if h == First() {
			if err := makeTables(ctx, conn, neededTables()); err != nil {
				return nil, err
			}
		}
	} else if err := current(ctx, conn, h.name, files); err != nil {
		return nil, err
	}
	return serviceTarget(ctx, conn, cfg, cfg.Database+"_service", doMigrate)
}

// makeTables makes the host's own tables. CREATE IF NOT EXISTS alone fails when
// two sessions run it together.
func makeTables(ctx context.Context, conn *pgx.Conn, statements []string) error {
	if len(statements) == 0 {
		return nil
	}
	unlock, err := lock(ctx, conn, "tables of the host")
	if err != nil {
		return err
	}
	defer unlock()
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("the host's own table: %w", err)
		}
	}
	return nil
}

// current refuses a schema that lacks migrations this code needs.
func current(ctx context.Context, conn *pgx.Conn, name string, files []registry.Migration) error {
	if len(files) == 0 {
		return nil
	}
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('schema_migrations') IS NOT NULL`).Scan(&exists); err != nil {
		return err
	}
	s := schema{latest: files[len(files)-1].Number}
	if exists {
		var err error
		if s, err = readSchema(ctx, conn, name, files); err != nil {
			return err
		}
	}
	if s.version < s.latest {
		return &SchemaError{Database: name, Problem: fmt.Sprintf(
			"schema is at version %d and this code needs %d; HOST_MIGRATE is off, so run the migrate command first", s.version, s.latest)}
	}
	return nil
}

// serviceTarget says as which role the app uses the database, and makes that
// role where it is needed and allowed.
func serviceTarget(ctx context.Context, conn *pgx.Conn, cfg *pgx.ConnConfig, role string, create bool) (*target, error) {
	p, err := rolePrivileges(ctx, conn)
	if err != nil {
		return nil, err
	}
	t := &target{login: cfg}
	if !p.bypassesRLS() {
		return t, nil
	}
	t.role = role
	if create {
		return t, ensureServiceRole(ctx, conn, role, p)
	}
	exists, err := roleExists(ctx, conn, role)
	if err == nil && !exists {
		err = fmt.Errorf("role %q is missing; run the migrate command first", role)
	}
	return t, err
}

func connect(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return pgx.ConnectConfig(ctx, cfg)
}

func stop(p shutdown.Progress) error {
	var errs []error
	for _, h := range all() {
		errs = append(errs, h.close(p.ForceShutdown))
	}
	return errors.Join(errs...)
}

func health(ctx context.Context) error {
	return each(ctx, func(ctx context.Context, h *Handle, _ bool) error { return h.Pool().Ping(ctx) })
}
