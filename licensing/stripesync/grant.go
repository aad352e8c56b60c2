package stripesync

import (
	"context"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// Grant is what a customer's subscriptions buy. Tier is "" if they buy none.
type Grant struct {
	Tier         string
	Features     map[string]bool
	Seats        int
	ValidUntil   time.Time
	Subscription string // the one that the tier comes from
}

// Grant reads what the customer has bought, as of now.
func (c *Client) Grant(ctx context.Context, customer string) (Grant, error) {
	params := &stripe.SubscriptionListParams{Customer: &customer}
	params.Context, params.Limit = ctx, stripe.Int64(pageSize)
	list := c.api.Subscriptions.List(params)
	out := Grant{Features: map[string]bool{}}
	for list.Next() {
		if err := c.add(ctx, &out, list.Subscription()); err != nil {
			return Grant{}, err
		}
	}
	if err := list.Err(); err != nil && !missing(err) {
		return Grant{}, failedCall("subscriptions", err)
	}
	return out, nil
}

// add lays one subscription over what is known: the highest tier counts, addons add up.
func (c *Client) add(ctx context.Context, g *Grant, sub *stripe.Subscription) error {
	until, entitled := c.paidUntil(sub)
	if !entitled {
		return nil
	}
	items, err := c.items(ctx, sub)
	if err != nil {
		return err
	}
	for _, item := range items {
		if item.Price == nil || item.Price.Product == nil {
			continue
		}
		tier, addon := c.cfg.Catalogue.Sold(item.Price.LookupKey, item.Price.Product.ID)
		if addon != nil {
			for name, on := range addon.Features {
				g.Features[name] = g.Features[name] || on
			}
		}
		if tier == "" || !c.better(g, tier, until) {
			continue
		}
		g.Tier, g.Seats, g.ValidUntil, g.Subscription = tier, max(1, int(item.Quantity)), until, sub.ID
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
func (c *Client) paidUntil(sub *stripe.Subscription) (until time.Time, entitled bool) {
	switch sub.Status {
	case stripe.SubscriptionStatusActive, stripe.SubscriptionStatusTrialing:
		return time.Unix(sub.CurrentPeriodEnd, 0).UTC(), true
	case stripe.SubscriptionStatusPastDue:
		return time.Unix(sub.CurrentPeriodStart, 0).UTC(), true
	}
	return time.Time{}, false
}

// items are all of a subscription's; Stripe sends only the first page of them along.
func (c *Client) items(ctx context.Context, sub *stripe.Subscription) ([]*stripe.SubscriptionItem, error) {
	if sub.Items != nil && !sub.Items.HasMore {
		return sub.Items.Data, nil
	}
	params := &stripe.SubscriptionItemListParams{Subscription: &sub.ID}
	params.Context, params.Limit = ctx, stripe.Int64(pageSize)
	list := c.api.SubscriptionItems.List(params)
	var items []*stripe.SubscriptionItem
	for list.Next() {
		items = append(items, list.SubscriptionItem())
	}
	if err := list.Err(); err != nil {
		return nil, failedCall("subscription items", err)
	}
	return items, nil
}
