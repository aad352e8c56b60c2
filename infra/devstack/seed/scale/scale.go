// Package scale fills a migrated database with tenants of a realistic spread: a few big ones and a
// long tail, people who belong to several, teams, licences and resources of every kind and
// sensitivity. It is for benchmarks and for seeing how lists and consoles feel; nobody in it can
// sign in, and the demo tenants are never touched.
//
// The rows follow from the configuration alone: the same one gives the same rows, and a second run
// finds them there.
package scale

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Defaults of a Config.
const (
	DefaultPerTenant = 1000
	DefaultIssuer    = "https://seed.tenantry.test"
)

// batchRows is about how many resources are made and go in together.
const batchRows = 20_000

// Config says how much of what.
type Config struct {
	Connect   func(ctx context.Context) (*pgx.Conn, error)
	Issuer    string // of the people; [DefaultIssuer] where it does not matter
	Tenants   int
	PerTenant int    // resources a tenant on average; [DefaultPerTenant] if 0
	Random    uint64 // another number gives other tenants
	Out       io.Writer
}

// Result is what a run did.
type Result struct {
	Tenants, Resources, Rows int64
	Took                     time.Duration
}

// PerSecond is the rows put in a second.
func (r Result) PerSecond() float64 { return float64(r.Rows) / max(r.Took.Seconds(), 1e-9) }

// Run puts in all of it, or nothing; what is there already stays as it is. The tables are locked for
// as long as it takes.
func Run(ctx context.Context, cfg Config) (Result, error) {
	if cfg.PerTenant == 0 {
		cfg.PerTenant = DefaultPerTenant
	}
	if cfg.Issuer == "" {
		cfg.Issuer = DefaultIssuer
	}
	if cfg.Tenants < 1 || cfg.Tenants > 1_000_000 || cfg.PerTenant < 1 {
		return Result{}, errors.New("scale: wants from 1 to 1000000 tenants with resources")
	}
	start := time.Now()
	conn, err := cfg.Connect(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("scale: connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	l := &load{cfg: cfg, plan: plan(cfg)}
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return l.all(ctx, tx) }); err != nil {
		return Result{}, fmt.Errorf("scale: %w", err)
	}
	if _, err := conn.Exec(ctx, "analyze "+strings.Join(tables, ", ")); err != nil {
		return Result{}, fmt.Errorf("scale: analyze: %w", err)
	}
	l.done.Took = time.Since(start)
	return l.done, nil
}

// load is one run.
type load struct {
	cfg  Config
	plan []tenant
	done Result
}

// all makes the rows of one batch while those of the batch before go in.
func (l *load) all(ctx context.Context, tx pgx.Tx) error {
	if yes, err := there(ctx, tx, l.plan); yes || err != nil {
		return err
	}
	open, err := unlock(ctx, tx)
	if err != nil {
		return fmt.Errorf("this needs the owner of the tables: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	made := make(chan *rows, 1)
	var making sync.WaitGroup
	making.Go(func() {
		defer close(made)
		l.make(ctx, made)
	})
	defer making.Wait()
	defer cancel()
	for batch := range made {
		n, err := batch.put(ctx, tx)
		if err != nil {
			return err
		}
		l.done.Rows += n
		l.done.Resources += int64(len(batch.resources))
		l.done.Tenants += int64(len(batch.orgs))
		if l.cfg.Out != nil {
			fmt.Fprintf(l.cfg.Out, "\r%d of %d tenants, %d rows", l.done.Tenants, len(l.plan), l.done.Rows)
		}
	}
	return open.lock(ctx)
}

func (l *load) make(ctx context.Context, made chan<- *rows) {
	batch := new(rows)
	for n, t := range l.plan {
		batch.add(l.cfg, l.plan, t)
		if len(batch.resources) < batchRows && n+1 < len(l.plan) {
			continue
		}
		select {
		case made <- batch:
			batch = new(rows)
		case <-ctx.Done():
			return
		}
	}
}
