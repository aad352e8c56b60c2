package audit

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/audit/event"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	benchClients = 16
	benchOrgs    = 200
	benchRound   = 3 * time.Second
	benchRounds  = 3

	// wantRatio is what of the plain inserts' speed is to be left.
	wantRatio = 0.6
)

// load has the clients do work for one round and gives how many they managed a second.
func load(b *testing.B, work func() error) float64 {
	b.Helper()
	var done atomic.Int64
	var clients sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), benchRound)
	defer cancel()
	start := time.Now()
	for range benchClients {
		clients.Go(func() {
			for ctx.Err() == nil {
				if err := work(); err != nil {
					b.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	clients.Wait()
	return float64(done.Load()) / time.Since(start).Seconds()
}

// BenchmarkAppend compares the log, its sequencer's work included, with inserts of the same row into a
// table of the same columns and indexes, one statement and one commit each. Rounds alternate, and the
// floor is 0.6 of the plain inserts. The lag is from the writing of an event to the signed checkpoint.
func BenchmarkAppend(b *testing.B) {
	ctx, s := context.Background(), newStore(testDB())
	a, err := newArchive(s, checkpointBucket(), testKeys())
	if err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	var ages []float64
	q := newSequencer(s, testKeys(), a)
	q.observe = func(age float64) {
		mu.Lock()
		ages = append(ages, age)
		mu.Unlock()
	}
	q.start()
	defer q.Close()
	setUp := "create table audit.plain (like audit.events including all); create table audit.bare (like audit.events including defaults); alter table audit.bare add primary key (org_id, id)"
	if _, err := s.db.Pool().Exec(ctx, setUp); err != nil {
		b.Fatal(err)
	}
	defer s.db.Pool().Exec(ctx, "drop table audit.plain, audit.bare")

	orgs := make([]uuid.UUID, benchOrgs)
	person := rowid.New()
	for i := range orgs {
		orgs[i] = rowid.New()
	}
	var next atomic.Int64
	sample := func() event.Event {
		e := newEvent(orgs[int(next.Add(1))%benchOrgs])
		e.IP, e.Person = "192.0.2.1", &person
		e.RequestID, e.PolicyVersion = "4bf92f3577b34da6a3ce929d0e0e4736", "2026-01-01"
		e, err := e.With(map[string]any{"sensitivity": "internal", "pii": false, "title": "a title of the usual length"})
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
	plain := func(table string) func() error {
		sql := "insert into audit." + table + ` (org_id, id, occurred_at, actor_id, actor_type, impersonator_id, action,
       resource_kind, resource_id, outcome, request_id, decision_id, policy_version, ip, changes)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`
		return func() error {
			e := sample()
			_, err := s.db.Pool().Exec(ctx, sql, e.OrgID, e.ID, e.OccurredAt, e.Actor.ID, e.Actor.Type, e.Actor.ImpersonatorID, e.Action,
				e.Resource.Kind, e.Resource.ID, e.Outcome, e.RequestID, e.DecisionID, e.PolicyVersion, e.IP, e.Changes)
			return err
		}
	}
	var plains, bares, appends []float64
	for b.Loop() {
		for range benchRounds {
			plains = append(plains, load(b, plain("plain")))
			bares = append(bares, load(b, plain("bare")))
			appends = append(appends, load(b, func() error {
				err := s.append(ctx, sample())
				q.Wake()
				return err
			}))
			allNumbered(b, s)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(ages)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(plains), "plain/s")
	b.ReportMetric(median(bares), "bare/s")
	b.ReportMetric(median(appends), "append/s")
	ratio := median(appends) / median(plains)
	b.ReportMetric(ratio, "ratio")
	if ratio < wantRatio {
		b.Errorf("appends are %.2f of plain inserts, wanted %.1f", ratio, wantRatio)
	}
	b.ReportMetric(median(appends)/median(bares), "ratio-to-bare")
	b.ReportMetric(ages[len(ages)*99/100]*1000, "lag-p99-ms")
	b.ReportMetric(ages[len(ages)/2]*1000, "lag-p50-ms")
}

// allNumbered waits until the sequencer has nothing left, so that the next round has the machine to itself.
func allNumbered(b *testing.B, s store) {
	b.Helper()
	eventually(b, "every leaf has its number", func() bool {
		n, err := tenantdb.Row(context.Background(), s.db, tenantdb.Platform(), pgx.RowTo[int], "select count(*) from audit.pending")
		if err != nil {
			b.Fatal(err)
		}
		return n == 0
	})
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
