package licensing

import (
	"errors"
	"fmt"
	"testing"

	"encore.app/infra/platform/fault"
	"encore.app/licensing/stripesync"
	stripe "github.com/stripe/stripe-go/v76"
)

// However many ask while Stripe is slow, few of them hold anything.
func TestFewWaitForASlowStripe(t *testing.T) {
	t.Parallel()
	c := make(counter, counters)
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
