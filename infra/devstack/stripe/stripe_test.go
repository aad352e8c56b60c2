package stripe

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"encore.app/licensing/catalogue"
	sdk "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
	"github.com/stripe/stripe-go/v76/webhook"
)

const (
	key    = "sk_test_of_the_stand_in"
	secret = "whsec_of_the_stand_in"
)

func config(t *testing.T) Config {
	t.Helper()
	sold, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	return Config{AppEnv: "test", Key: key, Secret: secret, Catalogue: sold}
}

// serve is a stand-in, and Stripe's own client for it.
func serve(t *testing.T, edit ...func(*Config)) (*Server, *client.API) {
	t.Helper()
	cfg := config(t)
	listener := httptest.NewUnstartedServer(nil)
	cfg.BaseURL = "http://" + listener.Listener.Addr().String()
	for _, e := range edit {
		e(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	listener.Config.Handler = s.Handler()
	listener.Start()
	t.Cleanup(func() { listener.Close(); s.Close() })
	backend := sdk.GetBackendWithConfig(sdk.APIBackend, &sdk.BackendConfig{
		URL: &cfg.BaseURL, MaxNetworkRetries: sdk.Int64(0), LeveledLogger: &sdk.LeveledLogger{Level: sdk.LevelNull},
	})
	return s, client.New(key, &sdk.Backends{API: backend, Connect: backend, Uploads: backend})
}

func TestItRefusesToStandInForRealMoney(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"staging", "production", "prod"} {
		cfg := config(t)
		cfg.AppEnv = env
		if s, err := New(cfg); err == nil {
			s.Close()
			t.Errorf("it stands in at %s", env)
		}
	}
}

// Stripe's own client reads every shape that the app uses.
func TestStripesOwnClientUnderstandsIt(t *testing.T) {
	t.Parallel()
	_, api := serve(t)
	cus, err := api.Customers.New(&sdk.CustomerParams{Params: sdk.Params{Metadata: map[string]string{"org_id": "o"}}})
	if err != nil || cus.Metadata["org_id"] != "o" {
		t.Fatalf("got %+v, %v", cus, err)
	}
	prices := api.Prices.List(&sdk.PriceListParams{LookupKeys: sdk.StringSlice([]string{"tenantry_pro_year"})})
	if !prices.Next() || prices.Price().Product.ID != "tenantry_pro" || prices.Price().Recurring.Interval != "year" || prices.Next() {
		t.Fatalf("got %+v, %v", prices.Current(), prices.Err())
	}
	for range 25 {
		if _, err := api.Subscriptions.New(&sdk.SubscriptionParams{Customer: &cus.ID, Items: []*sdk.SubscriptionItemsParams{
			{Price: sdk.String("price_tenantry_pro_year"), Quantity: sdk.Int64(3)}}}); err != nil {
			t.Fatal(err)
		}
	}
	seen, last := map[string]bool{}, int64(0)
	for subs := api.Subscriptions.List(&sdk.SubscriptionListParams{Customer: &cus.ID}); subs.Next(); { // ten at once
		sub := subs.Subscription()
		seen[sub.ID], last = true, sub.Items.Data[0].Quantity
		if sub.Status != "active" || sub.Customer.ID != cus.ID || sub.CurrentPeriodEnd-sub.CurrentPeriodStart < 365*24*3600 {
			t.Errorf("got %+v", sub)
		}
	}
	if len(seen) != 25 || last != 3 {
		t.Errorf("listed %d of 25", len(seen))
	}
	if _, err := api.Customers.Get("cus_nobody", nil); err == nil || err.(*sdk.Error).Code != sdk.ErrorCodeResourceMissing {
		t.Errorf("got %v", err)
	}
}

func TestAKeyHasOneAnswer(t *testing.T) {
	t.Parallel()
	_, api := serve(t)
	create := func(org string) (*sdk.Customer, error) {
		p := &sdk.CustomerParams{Params: sdk.Params{Metadata: map[string]string{"org_id": org}, IdempotencyKey: sdk.String("k")}}
		return api.Customers.New(p)
	}
	first, err := create("a")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := create("a"); err != nil || again.ID != first.ID {
		t.Errorf("got %+v, %v", again, err)
	}
	if other, err := create("b"); err == nil {
		t.Errorf("another body got %+v", other)
	}
}

func TestOutagesAndWrongKeysAreRefused(t *testing.T) {
	t.Parallel()
	s, api := serve(t)
	s.Outage(true)
	if _, err := api.Customers.New(nil); err == nil || err.(*sdk.Error).HTTPStatusCode != http.StatusServiceUnavailable {
		t.Errorf("an outage: %v", err)
	}
	s.Outage(false)
	r := httptest.NewRequest("GET", "/v1/customers", nil)
	r.Header.Set("Authorization", "Bearer sk_test_other")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("another key: %d", w.Code)
	}
}

func TestEventsAreSignedAndDeliveredUntilTheyAreTaken(t *testing.T) {
	t.Parallel()
	taken := make(chan string, 10)
	refused := false
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !refused {
			refused = true
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		body, _ := io.ReadAll(r.Body)
		e, err := webhook.ConstructEventWithOptions(body, r.Header.Get("Stripe-Signature"), secret, webhook.ConstructEventOptions{})
		if err != nil {
			t.Error(err)
		}
		taken <- string(e.Type)
	}))
	defer app.Close()
	s, api := serve(t)
	s.Notify(app.URL)
	cus, err := api.Customers.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Customers.Del(cus.ID, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, want := range []string{"customer.created", "customer.deleted"} {
		select {
		case got := <-taken:
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("%s was not delivered", want)
		}
	}
}

func TestDisturbedEventsAreAllThere(t *testing.T) {
	t.Parallel()
	var events []Event
	for i := range 100 {
		events = append(events, Event{ID: string(rune('a' + i))})
	}
	got := Disturb(rand.New(rand.NewPCG(1, 1)), events, 0.1, 0.2)
	moved := 0
	for i, e := range events {
		if !slices.ContainsFunc(got, func(g Event) bool { return g.ID == e.ID }) {
			t.Errorf("%s is lost", e.ID)
		}
		if got[i].ID != e.ID {
			moved++
		}
	}
	if len(got) != 110 || moved < 15 {
		t.Errorf("%d deliveries, %d moved", len(got), moved)
	}
}

func TestTheStateOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "stripe.json")
	keep := func(c *Config) { c.StateFile = file }
	_, first := serve(t, keep)
	cus, err := first.Customers.New(&sdk.CustomerParams{Params: sdk.Params{Metadata: map[string]string{"org_id": "o"}}})
	if err != nil {
		t.Fatal(err)
	}
	s, second := serve(t, keep)
	if got, err := second.Customers.Get(cus.ID, nil); err != nil || got.Metadata["org_id"] != "o" {
		t.Errorf("got %+v, %v", got, err)
	}
	next, err := second.Customers.New(nil)
	if err != nil || next.ID == cus.ID {
		t.Errorf("an id is given twice: %+v, %v", next, err)
	}
	// The clock stays where it was moved to.
	later := time.Now().AddDate(0, 3, 0)
	s.Advance(later)
	third, _ := serve(t, keep)
	if now := third.now(); now.Before(later.Add(-time.Minute)) {
		t.Errorf("it is %s, after %s", now, later)
	}
}

func TestThePagesPayAndCancel(t *testing.T) {
	t.Parallel()
	s, api := serve(t)
	cus, err := api.Customers.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	session, err := api.CheckoutSessions.New(&sdk.CheckoutSessionParams{
		Mode: sdk.String("subscription"), Customer: &cus.ID, SuccessURL: sdk.String("http://127.0.0.1/back"),
		LineItems: []*sdk.CheckoutSessionLineItemParams{{Price: sdk.String("price_tenantry_pro_month"), Quantity: sdk.Int64(4)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	visit := func(method, page string, press ...string) *httptest.ResponseRecorder {
		u, err := url.Parse(page)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(method, u.Path+"?press="+strings.Join(press, ""), nil))
		return w
	}
	if w := visit("GET", session.URL); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "price_tenantry_pro_month") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	for range 2 {
		if w := visit("POST", session.URL); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "http://127.0.0.1/back" {
			t.Errorf("got %d to %s", w.Code, w.Header().Get("Location"))
		}
	}
	portal, err := api.BillingPortalSessions.New(&sdk.BillingPortalSessionParams{Customer: &cus.ID, ReturnURL: sdk.String("http://127.0.0.1/back")})
	if err != nil {
		t.Fatal(err)
	}
	for _, press := range []string{"", "end"} { // without the button's word it ends nothing
		if w := visit("POST", portal.URL, press); w.Code != http.StatusSeeOther {
			t.Errorf("got %d", w.Code)
		}
		ended := strings.Contains(string(s.Events()[len(s.Events())-1].Payload), "customer.subscription.deleted")
		if ended != (press == "end") {
			t.Errorf("pressed %q: ended %v", press, ended)
		}
	}
	var kinds []string
	for _, e := range s.Events() {
		var about struct{ Type string }
		if err := json.Unmarshal(e.Payload, &about); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, about.Type)
	}
	want := []string{"customer.created", "customer.subscription.created", "checkout.session.completed", "customer.subscription.deleted"}
	if !slices.Equal(kinds, want) {
		t.Errorf("got %v", kinds)
	}
	if w := visit("POST", "/pay/cs_nothing"); w.Code != http.StatusNotFound {
		t.Errorf("a page of nothing: %d", w.Code)
	}
}
