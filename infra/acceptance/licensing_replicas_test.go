//go:build acceptance && local

package acceptance

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"encore.app/infra/devstack/stripe"
	"github.com/jackc/pgx/v5"
)

// A thousand events for fifty customers: a tenth come twice, a fifth out of order, a twentieth during
// an outage of Stripe; one of two replicas is killed half-way. In the end every licence is what Stripe
// says, and every change of a licence is in the audit log once.
func TestLicencesEndAsStripeHasThem(t *testing.T) {
	const customers, rounds, window = 50, 20, 4
	database, s := scratch(t), openShop(t)
	one, two := s.replica(t, database), s.replica(t, database)
	c := &courier{secret: s.secret}
	c.targets.Store(&[]*app{one, two})
	buyers := make([]buyer, customers)
	for i := range buyers {
		body := map[string]string{"slug": unique("buyer"), "name": "Buyer"}
		made := want[struct{ ID string }](t, at(one, t, root, "POST", "/api/v1/admin/orgs", body), http.StatusCreated)
		buyers[i] = buyer{org: made.ID, tier: "free", seats: 5}
	}
	random, seen := rand.New(rand.NewPCG(1, 2)), 0
	var delivering sync.WaitGroup
	for round := range rounds {
		for i := range buyers {
			s.step(t, &buyers[i])
		}
		if (round+1)%window != 0 {
			continue
		}
		delivering.Wait()
		emitted := s.Events()
		events := stripe.Disturb(random, emitted[seen:], 0.1, 0.2)
		seen = len(emitted)
		switch (round + 1) / window {
		case 3: // of five windows, while its events are on their way
			delivering.Go(func() {
				half := len(events) / 2
				c.deliver(t, events[:half])
				c.targets.Store(&[]*app{two})
				one.kill()
				c.deliver(t, events[half:])
			})
		case 4:
			s.Outage(true)
			c.deliver(t, events[:customers])
			eventually(t, 10*time.Second, "the outage is noticed", func() bool {
				return rowsOf(t, database, "select count(*) from licensing.customers where sync_error <> ''") > 0
			})
			s.Outage(false)
			delivering.Go(func() { c.deliver(t, events[customers:]) })
		default:
			delivering.Go(func() { c.deliver(t, events) })
		}
	}
	delivering.Wait()
	start := time.Now()
	eventually(t, 2*time.Minute, "every customer was looked at", func() bool {
		return rowsOf(t, database, "select count(*) from licensing.sync_queue") == 0
	})
	settled := time.Since(start)
	changes := 0
	for _, b := range buyers {
		l := want[licenseView](t, at(two, t, root, "GET", "/api/v1/admin/orgs/"+b.org+"/license", nil), http.StatusOK)
		if l.Tier != b.tier || l.Seats != b.seats {
			t.Errorf("%s has %s with %d seats, at Stripe %s with %d", b.customer, l.Tier, l.Seats, b.tier, b.seats)
		}
		// Every save raises the version by one, from 1.
		n := int(l.Version) - 1
		changes += n
		eventually(t, 30*time.Second, "the audit log has every change", func() bool {
			return rowsOf(t, database, "select count(*) from audit.events where action = 'license:sync' and org_id = $1", b.org) >= n
		})
		told(t, database, b, n)
	}
	t.Logf("%d events in %d deliveries for %d customers, %d changes of licences, in step %.1fs after the last delivery",
		seen, c.sent.Load(), customers, changes, settled.Seconds())
	if seen != customers*rounds || changes == 0 {
		t.Errorf("%d events and %d changes prove nothing", seen, changes)
	}
}

// told checks that the log has n changes, each beginning where the one before it ended.
func told(t *testing.T, database string, b buyer, n int) {
	t.Helper()
	type state struct {
		Tier  string `json:"tier"`
		Seats int    `json:"seats"`
	}
	type change struct{ Before, After state }
	var log []change
	platformTx(t, database, func(tx pgx.Tx) error {
		rows, err := tx.Query(context.Background(),
			"select changes from audit.events where action = 'license:sync' and org_id = $1 order by occurred_at, id", b.org)
		if err != nil {
			return err
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[json.RawMessage])
		for _, text := range texts {
			var c change
			if err := json.Unmarshal(text, &c); err != nil {
				return err
			}
			log = append(log, c)
		}
		return err
	})
	if len(log) != n {
		t.Errorf("%s: %d changes and %d in the log", b.customer, n, len(log))
	}
	last := state{"free", 5}
	for _, c := range log {
		if c.Before != last {
			t.Errorf("%s: a change from %+v follows %+v", b.customer, c.Before, last)
		}
		last = c.After
	}
	if last != (state{b.tier, b.seats}) {
		t.Errorf("%s: the log ends with %+v", b.customer, last)
	}
}

func platformTx(t *testing.T, database string, fn func(pgx.Tx) error) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select set_config('app.platform', 'on', true)"); err != nil {
			return err
		}
		return fn(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func rowsOf(t *testing.T, database, sql string, args ...any) (n int) {
	t.Helper()
	platformTx(t, database, func(tx pgx.Tx) error { return tx.QueryRow(context.Background(), sql, args...).Scan(&n) })
	return n
}

// What is granted on one replica counts for the very next request on every other.
func TestAGrantCountsWithTheNextRequestOnEveryReplica(t *testing.T) {
	database, s := scratch(t), openShop(t)
	replicas := []*app{s.replica(t, database), s.replica(t, database)}
	admin, member := rootMFA.token(t), eveApp.token(t)
	record := map[string]any{"title": "r", "sensitivity": "internal", "pii": false, "patient_ref": "p", "clinician_id": "00000000-0000-7000-8000-000000000001"}
	for i := range 20 {
		tier, seats := []string{"enterprise", "free"}[i%2], i+1
		writer, reader := replicas[i%2], replicas[(i+1)%2]
		body := map[string]any{"tier": tier, "feature_flags": map[string]bool{"beta": i%2 == 0}, "seats": seats}
		granted := call(t, admin, "PUT", "/api/v1/admin/orgs/"+globex+"/license", body, withKey(unique("grant")), func(r *http.Request) { aim(t, r, writer) })
		want[licenseView](t, granted, http.StatusOK)
		for _, a := range []*app{reader, writer} {
			has := want[struct {
				Tier     string
				Features map[string]bool
				Limits   map[string]int
			}](t, on(a, t, member, "GET", "/api/v1/app/orgs/"+globex+"/entitlements", nil), http.StatusOK)
			if has.Tier != tier || has.Limits["seats"] != seats || has.Features["beta"] != (i%2 == 0) {
				t.Fatalf("round %d: got %+v", i, has)
			}
			// Policies see it too: a record of a patient needs the enterprise tier.
			r := on(a, t, member, "POST", "/api/v1/app/orgs/"+globex+"/patient-records", record)
			upgrade := r.status == http.StatusForbidden && strings.Contains(string(r.body), "upgrade_required")
			if upgrade != (tier == "free") {
				t.Fatalf("round %d, %s: %d %s", i, tier, r.status, r.body)
			}
		}
	}
}

func aim(t *testing.T, r *http.Request, a *app) {
	t.Helper()
	u, err := url.Parse(a.base + r.URL.Path)
	if err != nil {
		t.Fatal(err)
	}
	r.URL, r.Host = u, u.Host
}

// A plan is bought on the page that checkout answers, and ended on the one that portal answers.
func TestAPlanIsBoughtAndEnded(t *testing.T) {
	database, s := scratch(t), openShop(t)
	a := s.replica(t, database)
	s.Notify(a.base + "/webhooks/stripe")
	eve, key := eveOrg.token(t), unique("buy")
	post := func(path string, body any, key string) string {
		t.Helper()
		r := call(t, eve, "POST", "/api/v1/org/"+globex+path, body, withKey(key), func(r *http.Request) { aim(t, r, a) })
		return want[struct{ URL string }](t, r, http.StatusOK).URL
	}
	press := func(page string) {
		t.Helper()
		resp, err := client.PostForm(page, url.Values{"press": {"end"}}) // of the portal; where one pays it is no matter
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("%s: %s", page, resp.Status)
		}
	}
	becomes := func(tier string, seats int) {
		t.Helper()
		eventually(t, 10*time.Second, "the licence is "+tier, func() bool {
			l := want[licenseView](t, on(a, t, eve, "GET", "/api/v1/org/"+globex+"/license", nil), http.StatusOK)
			return l.Tier == tier && l.Seats == seats
		})
	}
	offer := map[string]any{"tier": "pro", "interval": "year", "seats": 9}
	page := post("/billing/checkout", offer, key)
	if again := post("/billing/checkout", offer, key); again != page {
		t.Errorf("the same key begins another purchase: %s, %s", page, again)
	}
	becomes("free", 5)
	press(page)
	press(page) // pressed twice, bought once
	becomes("pro", 9)
	if again := post("/billing/checkout", offer, unique("buy")); !strings.Contains(again, "/portal/") {
		t.Errorf("who pays already is sent to %s", again)
	}
	press(post("/billing/portal", nil, unique("portal")))
	becomes("free", 5)

	status := want[struct {
		Items []struct {
			OrgID  string `json:"org_id"`
			Status string
		}
	}](t, at(a, t, root, "GET", "/api/v1/admin/billing/sync", nil), http.StatusOK)
	if !slices.ContainsFunc(status.Items, func(i struct {
		OrgID  string `json:"org_id"`
		Status string
	}) bool {
		return i.OrgID == globex && i.Status == "synced"
	}) {
		t.Errorf("got %+v", status)
	}
	few := call(t, eve, "POST", "/api/v1/org/"+globex+"/billing/checkout", map[string]any{"tier": "pro", "seats": 1}, withKey(unique("few")),
		func(r *http.Request) { aim(t, r, a) })
	wantFailure(t, few, http.StatusBadRequest, "seat_limit")
	s.Outage(true)
	away := call(t, eve, "POST", "/api/v1/org/"+globex+"/billing/checkout", offer, withKey(unique("away")), func(r *http.Request) { aim(t, r, a) })
	wantFailure(t, away, http.StatusServiceUnavailable, "dependency_unavailable")
}
