package stripe

import (
	"maps"
	"slices"
	"time"

	"encore.app/licensing/catalogue"
)

// object is JSON as Stripe sends it.
type object = map[string]any

type customer struct {
	ID            string
	Created       time.Time
	Metadata      map[string]string
	Deleted       bool
	Subscriptions []*subscription // the oldest first
}

type subscription struct {
	ID                string
	Status            string
	Created           time.Time
	PeriodStart       time.Time
	PeriodEnd         time.Time
	CancelAtPeriodEnd bool
	Metadata          map[string]string
	Items             []item
}

type item struct {
	ID       string
	Price    string
	Quantity int64
}

type session struct {
	ID         string
	Customer   string
	Reference  string
	SuccessURL string
	CancelURL  string
	Metadata   map[string]string // of the subscription
	Items      []item
	Paid       bool
	Portal     bool
}

type price struct {
	ID, LookupKey, Product, Interval, Currency string
	UnitAmount                                 int64
}

// pricesOf are the catalogue's, by id.
func pricesOf(c *catalogue.Catalogue) []price {
	var out []price
	add := func(p *catalogue.Product) {
		if p == nil {
			return
		}
		for _, interval := range slices.Sorted(maps.Keys(p.Prices)) {
			at := p.Prices[interval]
			out = append(out, price{
				ID: "price_" + at.LookupKey, LookupKey: at.LookupKey, Product: p.ID, Interval: interval,
				Currency: at.Currency, UnitAmount: at.UnitAmount,
			})
		}
	}
	for _, t := range c.Tiers {
		add(t.Stripe)
	}
	for _, a := range c.Addons {
		add(a.Stripe)
	}
	return out
}

func (s *Server) price(id string) (price, bool) {
	i := slices.IndexFunc(s.prices, func(p price) bool { return p.ID == id })
	if i < 0 {
		return price{}, false
	}
	return s.prices[i], true
}

func (c *customer) json() object {
	if c.Deleted {
		return object{"id": c.ID, "object": "customer", "deleted": true}
	}
	return object{
		"id": c.ID, "object": "customer", "created": c.Created.Unix(), "livemode": false,
		"metadata": metadata(c.Metadata), "email": nil, "currency": nil, "delinquent": false,
	}
}

func (p price) json() object {
	return object{
		"id": p.ID, "object": "price", "active": true, "currency": p.Currency, "unit_amount": p.UnitAmount,
		"lookup_key": p.LookupKey, "product": p.Product, "type": "recurring", "billing_scheme": "per_unit",
		"livemode": false, "metadata": object{},
		"recurring": object{"interval": p.Interval, "interval_count": 1, "usage_type": "licensed"},
	}
}

// itemsInline is how many items Stripe sends along with a subscription.
const itemsInline = 10

func (s *Server) subscriptionJSON(c *customer, sub *subscription) object {
	items := make([]object, 0, len(sub.Items))
	for _, it := range sub.Items[:min(len(sub.Items), itemsInline)] {
		items = append(items, s.itemJSON(sub, it))
	}
	return object{
		"id": sub.ID, "object": "subscription", "customer": c.ID, "status": sub.Status, "created": sub.Created.Unix(),
		"current_period_start": sub.PeriodStart.Unix(), "current_period_end": sub.PeriodEnd.Unix(),
		"cancel_at_period_end": sub.CancelAtPeriodEnd, "metadata": metadata(sub.Metadata), "livemode": false,
		"items": object{
			"object": "list", "data": items, "has_more": len(sub.Items) > itemsInline,
			"url": "/v1/subscription_items?subscription=" + sub.ID,
		},
	}
}

func (s *Server) itemJSON(sub *subscription, it item) object {
	p, _ := s.price(it.Price)
	return object{
		"id": it.ID, "object": "subscription_item", "subscription": sub.ID, "quantity": it.Quantity,
		"price": p.json(), "created": sub.Created.Unix(), "metadata": object{},
	}
}

func (s *Server) sessionJSON(x *session) object {
	status, paid := "open", "unpaid"
	if x.Paid {
		status, paid = "complete", "paid"
	}
	return object{
		"id": x.ID, "object": "checkout.session", "mode": "subscription", "customer": x.Customer, "status": status,
		"payment_status": paid, "client_reference_id": x.Reference, "success_url": x.SuccessURL, "cancel_url": x.CancelURL,
		"url": s.cfg.BaseURL + "/pay/" + x.ID, "livemode": false,
	}
}

func metadata(m map[string]string) object {
	out := object{}
	for k, v := range m {
		out[k] = v
	}
	return out
}
