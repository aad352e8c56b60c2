package licensing

import (
	"errors"
	"fmt"
	"testing"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/stripesync"
	"github.com/stripe/stripe-go/v76"
)

// However many ask while Stripe is slow, few of them hold anything.
func TestFewWaitForASlowStripe(t *testing.T) {
	t.Parallel()
	c := newCounter(100)
	var leave []func()
	for range counters {
		at, l, err := c.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, bounded := at.Deadline(); !bounded {
			t.Error("it waits for ever")
		}
		leave = append(leave, l)
	}
	if _, _, err := c.take(t.Context()); fault.DetailsOf(err).Part != partStripe || fault.Status(err) != 503 {
		t.Errorf("one more: %v", err)
	}
	leave[0]()
	if _, l, err := c.take(t.Context()); err != nil {
		t.Errorf("after one has left: %v", err)
	} else {
		l()
	}
}

// Of the turns that writes with a key get, which are half of the connections, Stripe has half.
func TestASlowStripeLeavesTurnsToOtherWrites(t *testing.T) {
	t.Parallel()
	for connections, want := range map[int32]int{2: 1, 4: 1, 8: 2, 10: 2, 16: 4, 100: counters} {
		if got := cap(newCounter(connections)); got != want {
			t.Errorf("%d of %d connections, want %d", got, connections, want)
		}
	}
}

func TestWhateverIsWrongAtStripeIsSaidToBeThere(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	_, cus := a.customer(t)
	elsewhere := stripesync.NewClient(stripesync.Config{Key: "sk_test_of_another", BaseURL: a.url, Catalogue: a.store.catalogue})
	buy := stripesync.Purchase{Org: "o", Customer: cus, Seats: 1, IdempotencyKey: "k"}
	for name, ask := range map[string]func() (string, error){
		"another key":      func() (string, error) { return elsewhere.Portal(t.Context(), cus, "https://back.test", "k") },
		"another customer": func() (string, error) { return a.client.Portal(t.Context(), "cus_elsewhere", "https://back.test", "k") },
		"no such price":    func() (string, error) { return a.client.Checkout(t.Context(), buy) },
	} {
		_, err := ask()
		if out := away(err); fault.DetailsOf(out).Part != partStripe || fault.Cause(out) == nil {
			t.Errorf("%s: %v", name, out)
		}
	}
	ours := errors.New("of our own")
	if away(ours) != ours {
		t.Error("what is wrong here is said to be there")
	}
}

// A first request that got as far as Stripe and was not answered here: what comes with its key and asks
// for something else is refused as it would be here.
func TestAKeyThatStripeKnowsForSomethingElse(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("stripe: %w", &stripe.Error{Type: stripe.ErrorTypeIdempotency, HTTPStatusCode: 400})
	if got := away(err); fault.Status(got) != 422 || fault.DetailsOf(got).Reason != fault.IdempotencyReused {
		t.Errorf("%d %v", fault.Status(got), got)
	}
}

// Who was deleted at Stripe can buy again, as another customer.
func TestADeletedCustomerBuysAgain(t *testing.T) {
	t.Parallel()
	ctx, a := t.Context(), newAccount(t)
	org := newOrg(t, a.store)
	var as []string
	portal := func() {
		t.Helper()
		page, err := a.store.asCustomer(ctx, a.client, org, func(c stripesync.Customer) (string, error) {
			as = append(as, c.ID)
			return a.client.Portal(ctx, c.ID, "https://back.test", fmt.Sprint("k", len(as)))
		})
		if err != nil || page == "" {
			t.Fatalf("got %q, %v", page, err)
		}
	}
	portal()
	portal()
	a.do(t, "DELETE", "/v1/customers/"+as[0])
	portal()
	if len(as) != 4 || as[1] != as[0] || as[2] != as[0] || as[3] == as[0] {
		t.Fatalf("asked as %v", as)
	}
	a.buy(t, as[3], "pro_month", 3)
	a.changed(t, as[3])
	a.want(t, org, "pro", 3)
	a.changed(t, as[0]) // what comes of the deleted one is of nobody
	a.want(t, org, "pro", 3)

	// One that this account never had is not replaced.
	exec(t, a.store, tenantdb.Platform(), "update licensing.customers set customer_id = 'cus_elsewhere'")
	_, err := a.store.asCustomer(ctx, a.client, org, func(c stripesync.Customer) (string, error) {
		return a.client.Portal(ctx, c.ID, "https://back.test", "k")
	})
	if c, _, _ := stripesync.CustomerOf(ctx, a.store.db, org); err == nil || c.ID != "cus_elsewhere" {
		t.Errorf("got %+v, %v", c, err)
	}
}
