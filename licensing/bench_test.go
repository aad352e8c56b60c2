package licensing

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	standin "encore.app/infra/devstack/stripe"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/stripesync"
	"github.com/jackc/pgx/v5"
)

const (
	benchCustomers = 10_000
	// benchEvery is one delivery's share of a second: 100 a second, more than a large account gets.
	benchEvery = 10 * time.Millisecond
	// benchMost is what a delivery may take, at the 99th percentile.
	benchMost = 20 * time.Millisecond
)

// BenchmarkWebhookDuringSync measures deliveries, over HTTP, at a steady pace, while a reconciliation
// looks at ten thousand customers; its floor is the same without one. The stand-in for Stripe runs in
// this process too, on the same processors. make bench-webhook runs it.
func BenchmarkWebhookDuringSync(b *testing.B) {
	ctx, a := context.Background(), newAccount(b)
	for range benchCustomers {
		_, cus := a.customer(b)
		a.buy(b, cus, "pro_month", 3)
	}
	hooks := &Service{store: a.store, hooks: []string{testSecret}}
	server := httptest.NewServer(http.HandlerFunc(hooks.StripeWebhook))
	defer server.Close()
	deliver := func(i int) time.Duration {
		payload := eventFor(fmt.Sprintf("evt_bench_%d", i), fmt.Sprintf("cus_nobody_%d", i%50))
		req, err := http.NewRequest("POST", server.URL, bytes.NewReader(payload))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Stripe-Signature", standin.Sign(payload, testSecret, time.Now()))
		start := time.Now()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b.Fatal(resp.Status)
		}
		return time.Since(start)
	}
	dirty := func() int {
		return value[int](b, a.store, tenantdb.Platform(), "select count(*)::int from licensing.sync_queue where reason = 'reconciliation'")
	}
	sent := 0
	pace := func(goOn func(n int) bool) []time.Duration {
		var took []time.Duration
		ticker := time.NewTicker(benchEvery)
		defer ticker.Stop()
		for goOn(len(took)) {
			<-ticker.C
			took = append(took, deliver(sent))
			sent++
		}
		slices.Sort(took)
		return took
	}
	at := func(took []time.Duration, share float64) float64 {
		return float64(took[int(float64(len(took)-1)*share)].Microseconds()) / 1000
	}
	for b.Loop() {
		floor := pace(func(n int) bool { return n < 500 })
		if err := a.store.db.Tx(ctx, tenantdb.Platform(), func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "delete from licensing.sync_queue")
			return err
		}); err != nil {
			b.Fatal(err)
		}
		if err := a.store.reconcile(ctx, a.client); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		w := stripesync.NewWorker(stripesync.WorkerConfig{Queue: a.queue(), Stripe: a.client, Licences: a.store})
		w.Start()
		took := pace(func(n int) bool { return n%50 != 0 || dirty() > 0 })
		synced := time.Since(start)
		w.Close()
		if len(took) < 500 {
			b.Fatalf("only %d deliveries during the synchronisation", len(took))
		}
		b.Logf("%d deliveries in %.0f s: p50 %.1f ms, p99 %.1f ms, max %.1f ms; idle p50 %.1f ms, p99 %.1f ms",
			len(took), synced.Seconds(), at(took, .5), at(took, .99), at(took, 1), at(floor, .5), at(floor, .99))
		b.ReportMetric(at(took, .5), "p50-ms")
		b.ReportMetric(at(took, .99), "p99-ms")
		b.ReportMetric(at(took, 1), "max-ms")
		b.ReportMetric(at(floor, .99), "idle-p99-ms")
		b.ReportMetric(benchCustomers/synced.Seconds(), "customers/s")
		b.ReportMetric(0, "ns/op")
		if at(took, .99) > float64(benchMost.Milliseconds()) {
			b.Errorf("the 99th percentile of %d deliveries is %.1f ms", len(took), at(took, .99))
		}
	}
}
