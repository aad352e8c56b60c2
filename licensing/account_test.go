package licensing

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	standin "encore.app/infra/devstack/stripe"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/stripesync"
	"encore.dev/types/uuid"
)

const (
	testKey    = "sk_test_for_tests"
	testSecret = "whsec_for_tests"
)

// account is a stand-in for Stripe, and a store and a worker that look at it.
type account struct {
	*standin.Server
	url    string
	store  store
	client *stripesync.Client
	worker *stripesync.Worker
}

func newAccount(t testing.TB) *account {
	t.Helper()
	s := private(t)
	server := httptest.NewUnstartedServer(nil)
	stand, err := standin.New(standin.Config{
		AppEnv: "test", BaseURL: "http://" + server.Listener.Addr().String(), Key: testKey, Secret: testSecret, Catalogue: s.catalogue,
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = stand.Handler()
	server.Start()
	t.Cleanup(func() { server.Close(); stand.Close() })
	a := &account{Server: stand, url: server.URL, store: s}
	a.client = stripesync.NewClient(stripesync.Config{Key: testKey, BaseURL: server.URL, Catalogue: s.catalogue})
	a.worker = a.newWorker(0)
	return a
}

func (a *account) newWorker(lease time.Duration) *stripesync.Worker {
	return stripesync.NewWorker(stripesync.WorkerConfig{Queue: a.queue(), Stripe: a.client, Licences: a.store, Lease: lease})
}

func (a *account) queue() stripesync.Queue { return stripesync.Queue{DB: a.store.db} }

// do is a call of Stripe's API: name=value pairs make its form.
func (a *account) do(t testing.TB, method, path string, pairs ...string) map[string]any {
	t.Helper()
	form := url.Values{}
	for _, p := range pairs {
		name, v, _ := strings.Cut(p, "=")
		form.Add(name, v)
	}
	req, err := http.NewRequest(method, a.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+testKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %v, %v", method, path, resp.Status, out, err)
	}
	return out
}

// customer makes an organisation and its customer at Stripe, which nobody here knows yet.
func (a *account) customer(t testing.TB) (org uuid.UUID, id string) {
	t.Helper()
	org = newOrg(t, a.store)
	return org, a.do(t, "POST", "/v1/customers", "metadata[org_id]="+org.String())["id"].(string)
}

// buy subscribes a customer and answers the subscription's id.
func (a *account) buy(t testing.TB, customer, price string, quantity int, more ...string) string {
	t.Helper()
	pairs := append([]string{"customer=" + customer, "items[0][price]=price_tenantry_" + price, fmt.Sprint("items[0][quantity]=", quantity)}, more...)
	return a.do(t, "POST", "/v1/subscriptions", pairs...)["id"].(string)
}

// changed tells us of a customer, and works until nothing is left.
func (a *account) changed(t testing.TB, customer string) {
	t.Helper()
	e := stripesync.Event{ID: "evt_" + fmt.Sprint(time.Now().UnixNano()), Type: "customer.subscription.updated", Customer: customer}
	if fresh, err := a.queue().Receive(context.Background(), e); err != nil || !fresh {
		t.Fatalf("received %v, %v", fresh, err)
	}
	a.drain(t)
}

func (a *account) drain(t testing.TB) {
	t.Helper()
	for {
		worked, err := a.worker.Step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !worked {
			return
		}
	}
}

func (a *account) want(t testing.TB, org uuid.UUID, tier string, seats int) license {
	t.Helper()
	l, err := a.store.of(context.Background(), tenantdb.Org(org), org)
	if err != nil || l.Tier != tier || l.Seats != seats {
		t.Fatalf("got %+v, %v, want %s with %d seats", l, err, tier, seats)
	}
	if gotTier, gotSeats := projected(t, a.store, org); gotTier != tier || gotSeats != seats {
		t.Fatalf("the organisation has %s with %d seats, want %s with %d", gotTier, gotSeats, tier, seats)
	}
	return l
}
