package stripesync

import (
	"cmp"
	"context"
	"time"

	"encore.app/licensing/catalogue"
	"github.com/stripe/stripe-go/v76"
)

// Grant is what a customer's subscriptions buy. Tier is "" if they buy none.
type Grant struct {
	Tier         string
	Features     map[string]bool
	Seats        int
	ValidUntil   time.Time // of the tier, or of the addons where there is no tier
	Subscription string    // the one that the tier comes from, or that is to be paid for one
	Unsold       []string  // prices that are paid for and that the catalogue does not know
}

// Grant reads what the customer has bought, as of now.
func (c *Client) Grant(ctx context.Context, customer string) (Grant, error) {
	params := &stripe.SubscriptionListParams{Customer: &customer}
	params.Context, params.Limit = ctx, stripe.Int64(pageSize)
	list, read := c.api.Subscriptions.List(params), listing{call: "subscriptions", most: maxListed}
	paid, over := Grant{Features: map[string]bool{}}, Grant{Features: map[string]bool{}}
	for list.Next() {
		sub := list.Subscription()
		if err := read.take(sub.ID); err != nil {
			return Grant{}, err
		}
		if sub.Customer == nil || sub.Customer.ID != customer {
			return Grant{}, nonsense(read.call, "another customer's subscription")
		}
		if err := c.add(ctx, &paid, &over, sub); err != nil {
			return Grant{}, err
		}
	}
	if missing(list.Err()) {
		return Grant{Features: map[string]bool{}}, c.deleted(ctx, customer)
	}
	return paid.or(over), read.whole(list.Iter)
}

// or is g, or what the grace is over for if g buys nothing: that ends as it is. It can still be paid
// where it was bought, which is not to be bought again.
func (g Grant) or(over Grant) Grant {
	unsold := append(g.Unsold, over.Unsold...)
	if g.Tier == "" && len(g.Features) == 0 {
		g = over
	}
	g.Subscription, g.Unsold = cmp.Or(g.Subscription, over.Subscription), unsold
	return g
}

// add lays one subscription over what is known of those that are paid, or whose grace is over: the
// highest tier counts, addons add up.
func (c *Client) add(ctx context.Context, paid, over *Grant, sub *stripe.Subscription) error {
	until, entitled, err := c.paidUntil(sub)
	if err != nil || !entitled {
		return err
	}
	g := paid
	if !c.cfg.Now().Before(until.Add(c.cfg.Catalogue.Grace)) {
		g = over
	}
	items, err := c.items(ctx, sub)
	if err == nil && len(items) == 0 {
		err = nonsense("subscription items", "a subscription to nothing")
	}
	if err != nil {
		return err
	}
	for _, item := range items {
		if item.Price == nil || item.Price.Product == nil {
			return nonsense("subscription items", "an item without a price")
		}
		tier, addon := c.cfg.Catalogue.Sold(item.Price.LookupKey, item.Price.Product.ID)
		switch {
		case addon != nil:
			for name, on := range addon.Features {
				g.Features[name] = g.Features[name] || on
			}
			if g.Tier == "" && until.After(g.ValidUntil) {
				g.ValidUntil = until
			}
		case tier == "":
			g.Unsold = append(g.Unsold, item.Price.ID)
		case c.better(g, tier, until):
			seats := min(max(1, item.Quantity), catalogue.MaxSeats)
			g.Tier, g.Seats, g.ValidUntil, g.Subscription = tier, int(seats), until, sub.ID
		}
	}
	return nil
}

// better says that a tier until then counts more than what is known.
func (c *Client) better(g *Grant, tier string, until time.Time) bool {
	have, rank := c.cfg.Catalogue.Rank(g.Tier), c.cfg.Catalogue.Rank(tier)
	return g.Tier == "" || rank > have || rank == have && until.After(g.ValidUntil)
}

// paidUntil is how far a subscription is paid. One whose latest invoice is open is paid until the
// period that it is for began; the licence's grace goes on from there.
func (c *Client) paidUntil(sub *stripe.Subscription) (until time.Time, entitled bool, err error) {
	const call = "subscriptions"
	switch sub.Status {
	case stripe.SubscriptionStatusActive, stripe.SubscriptionStatusTrialing:
		until, err = moment(call, sub.CurrentPeriodEnd)
		return until, true, err
	case stripe.SubscriptionStatusPastDue:
		until, err = moment(call, sub.CurrentPeriodStart)
		return until, true, err
	case "":
		return time.Time{}, false, nonsense(call, "a subscription without a status")
	}
	return time.Time{}, false, nil
}

// items are all of a subscription's; Stripe sends only the first page of them along.
func (c *Client) items(ctx context.Context, sub *stripe.Subscription) ([]*stripe.SubscriptionItem, error) {
	if sub.Items != nil && sub.Items.URL != "" && !sub.Items.HasMore {
		return sub.Items.Data, nil
	}
	params := &stripe.SubscriptionItemListParams{Subscription: &sub.ID}
	params.Context, params.Limit = ctx, stripe.Int64(pageSize)
	list, read := c.api.SubscriptionItems.List(params), listing{call: "subscription items", most: maxListed}
	var items []*stripe.SubscriptionItem
	for list.Next() {
		item := list.SubscriptionItem()
		if err := read.take(item.ID); err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, read.whole(list.Iter)
}
