package stripesync

import (
	"errors"
	"os"
	"strings"
	"testing"

	"encore.app/licensing/catalogue"
	"github.com/stripe/stripe-go/v76"
)

// stripe-mock refuses what is not a request of Stripe's API and answers in its shapes. Every call that
// this package makes is made here, and its answer understood.
func TestStripesOwnShapesAreKept(t *testing.T) {
	t.Parallel()
	mock := os.Getenv("STRIPE_MOCK_URL")
	if mock == "" {
		t.Skip("NOT RUN: there is no stripe-mock here (STRIPE_MOCK_URL names one; devstack exec --real starts one)")
	}
	sold, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	ctx, c := t.Context(), NewClient(Config{Key: "sk_test_123", BaseURL: mock, Catalogue: sold})
	if id, err := c.CreateCustomer(ctx, "o", ""); err != nil || !strings.HasPrefix(id, "cus_") {
		t.Errorf("create customer: %q, %v", id, err)
	}
	if owner, err := c.Owner(ctx, "cus_1"); err != nil || owner != "" {
		t.Errorf("owner: %q, %v", owner, err)
	}
	if err := c.Customers(ctx, func(string) error { return errors.New("the fixture names no organisation") }); err != nil {
		t.Errorf("customers: %v", err)
	}
	page, err := c.Checkout(ctx, Purchase{
		Org: "o", Customer: "cus_1", LookupKey: "k", Seats: 3, ReturnURL: "https://back.test/", IdempotencyKey: "shapes-checkout",
	})
	if err != nil || !strings.HasPrefix(page, "https://checkout.stripe.com/") {
		t.Errorf("checkout: %q, %v", page, err)
	}
	if page, err := c.Portal(ctx, "cus_1", "https://back.test/", "shapes-portal"); err != nil || page == "" {
		t.Errorf("portal: %q, %v", page, err)
	}

	// The fixture is of a customer of its own.
	var params stripe.SubscriptionListParams
	params.Single = true
	subs := c.api.Subscriptions.List(&params)
	if !subs.Next() {
		t.Fatal(subs.Err())
	}
	g, err := c.Grant(ctx, subs.Subscription().Customer.ID)
	if err != nil || g.Tier != "" || len(g.Unsold) != 1 {
		t.Errorf("grant: %+v, %v", g, err)
	}
	items, err := c.items(ctx, &stripe.Subscription{ID: subs.Subscription().ID})
	if err != nil || len(items) != 1 || items[0].Price == nil || items[0].Price.Product == nil {
		t.Errorf("items: %+v, %v", items, err)
	}

	// Whether it would notice: a parameter that Stripe does not have.
	wrong := &stripe.CustomerParams{}
	wrong.AddExtra("nonsense", "1")
	if _, err := c.api.Customers.New(wrong); err == nil {
		t.Error("it takes anything")
	}
}
