//go:build acceptance && local

package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"encore.app/infra/devstack/stripe"
	"encore.app/licensing/catalogue"
)

// shop is a stand-in for Stripe of a test's own.
type shop struct {
	*stripe.Server
	url, secret string
}

func openShop(t *testing.T) *shop {
	t.Helper()
	sold, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	s := &shop{url: "http://" + server.Listener.Addr().String(), secret: "whsec_acceptance"}
	if s.Server, err = stripe.New(stripe.Config{AppEnv: "test", BaseURL: s.url, Key: "sk_test_acceptance", Secret: s.secret, Catalogue: sold}); err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = s.Handler()
	server.Start()
	t.Cleanup(func() { server.Close(); s.Close() })
	return s
}

// replica starts the app with its billing at the shop.
func (s *shop) replica(t *testing.T, database string) *app {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := startApp(ctx, appConfig{database: database, seed: true, unset: []string{"RABBITMQ_URL"}, env: []string{
		"STRIPE_API_KEY=sk_test_acceptance", "STRIPE_API_BASE=" + s.url, "STRIPE_WEBHOOK_SECRET=" + s.secret,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	return a
}

// do is a call of Stripe's API.
func (s *shop) do(t *testing.T, method, path string, form url.Values) string {
	t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer sk_test_acceptance")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ ID string }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %v", method, path, resp.Status, err)
	}
	return out.ID
}

// buyer is an organisation, and what it has at Stripe.
type buyer struct {
	org, customer, subscription string
	tier                        string
	seats                       int
}

// step changes the buyer's state at Stripe, which emits one event.
func (s *shop) step(t *testing.T, b *buyer) {
	t.Helper()
	tier, seats := []string{"pro", "enterprise"}[rand.N(2)], 1+rand.N(90)
	form := url.Values{"items[0][price]": {"price_tenantry_" + tier + "_month"}, "items[0][quantity]": {fmt.Sprint(seats)}}
	switch {
	case b.customer == "":
		b.customer = s.do(t, "POST", "/v1/customers", url.Values{"metadata[org_id]": {b.org}})
		return
	case b.subscription == "":
		form.Set("customer", b.customer)
		b.subscription = s.do(t, "POST", "/v1/subscriptions", form)
	case rand.N(6) == 0:
		s.do(t, "DELETE", "/v1/subscriptions/"+b.subscription, nil)
		b.subscription, tier, seats = "", "free", 5
	default:
		s.do(t, "POST", "/v1/subscriptions/"+b.subscription, form)
	}
	b.tier, b.seats = tier, seats
}

// courier delivers events as Stripe does: to one replica, and again until one takes it.
type courier struct {
	secret  string
	targets atomic.Pointer[[]*app]
	sent    atomic.Int64
}

func (c *courier) deliver(t *testing.T, events []stripe.Event) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(events) {
					return
				}
				for try := 0; !c.once(t, events[i].Payload, i+try); try++ {
					if try == 100 {
						t.Errorf("%s was never taken", events[i].ID)
						return
					}
				}
			}
		})
	}
	all.Wait()
}

func (c *courier) once(t *testing.T, payload []byte, n int) bool {
	targets := *c.targets.Load()
	req, err := http.NewRequest("POST", targets[n%len(targets)].base+"/webhooks/stripe", bytes.NewReader(payload))
	if err != nil {
		t.Error(err)
		return true
	}
	req.Header.Set("Stripe-Signature", stripe.Sign(payload, c.secret, time.Now()))
	resp, err := client.Do(req)
	if err != nil {
		return false // the replica is dead
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	c.sent.Add(1)
	if resp.StatusCode/100 != 2 {
		t.Errorf("a delivery was answered %s", resp.Status)
	}
	return true
}
