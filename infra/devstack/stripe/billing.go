package stripe

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

func (s *Server) find(id string) (*customer, error) {
	if c := s.byID[id]; c != nil {
		return c, nil
	}
	return nil, noSuch("customer", id)
}

// living is a customer that was not deleted: only such a one can buy.
func (s *Server) living(id string) (*customer, error) {
	c, err := s.find(id)
	if err == nil && c.Deleted {
		return nil, noSuch("customer", id)
	}
	return c, err
}

func (s *Server) createCustomer(_ *http.Request, form url.Values) (object, error) {
	c := &customer{ID: s.id("cus"), Created: s.now(), Metadata: group(form, "metadata")}
	s.state.Customers = append(s.state.Customers, c)
	s.byID[c.ID] = c
	s.emit("customer.created", c.json())
	return c.json(), nil
}

func (s *Server) listCustomers(_ *http.Request, form url.Values) (object, error) {
	all := make([]object, 0, len(s.state.Customers))
	for _, c := range slices.Backward(s.state.Customers) {
		if !c.Deleted {
			all = append(all, c.json())
		}
	}
	return list(form, "/v1/customers", all)
}

func (s *Server) readCustomer(r *http.Request, _ url.Values) (object, error) {
	c, err := s.find(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return c.json(), nil
}

func (s *Server) updateCustomer(r *http.Request, form url.Values) (object, error) {
	c, err := s.living(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	for k, v := range group(form, "metadata") {
		c.Metadata[k] = v
	}
	s.emit("customer.updated", c.json())
	return c.json(), nil
}

func (s *Server) deleteCustomer(r *http.Request, _ url.Values) (object, error) {
	c, err := s.find(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	for _, sub := range c.Subscriptions {
		s.end(c, sub)
	}
	c.Deleted = true
	s.emit("customer.deleted", c.json())
	return c.json(), nil
}

func (s *Server) listProducts(_ *http.Request, form url.Values) (object, error) {
	var all []object
	for _, p := range s.prices {
		if !slices.ContainsFunc(all, func(o object) bool { return o["id"] == p.Product }) {
			all = append(all, object{"id": p.Product, "object": "product", "name": p.Product, "active": true, "metadata": object{}})
		}
	}
	return list(form, "/v1/products", all)
}

func (s *Server) listPrices(_ *http.Request, form url.Values) (object, error) {
	keys := form["lookup_keys[]"]
	for _, v := range group(form, "lookup_keys") {
		keys = append(keys, v)
	}
	var all []object
	for _, p := range s.prices {
		if len(keys) == 0 || slices.Contains(keys, p.LookupKey) {
			all = append(all, p.json())
		}
	}
	return list(form, "/v1/prices", all)
}

// items reads items[0][price]=…&items[0][quantity]=….
func (s *Server) items(form url.Values, name string) ([]item, error) {
	var out []item
	for i := 0; ; i++ {
		at := fmt.Sprintf("%s[%d]", name, i)
		id := form.Get(at + "[price]")
		if id == "" {
			break
		}
		if _, ok := s.price(id); !ok {
			return nil, noSuch("price", id)
		}
		quantity := int64(1)
		if text := form.Get(at + "[quantity]"); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < 1 {
				return nil, wrong("quantity must be a number from 1")
			}
			quantity = n
		}
		out = append(out, item{ID: s.id("si"), Price: id, Quantity: quantity})
	}
	if len(out) == 0 {
		return nil, wrong("Missing required param: %s.", name)
	}
	return out, nil
}

func (s *Server) createSubscription(_ *http.Request, form url.Values) (object, error) {
	c, err := s.living(form.Get("customer"))
	if err != nil {
		return nil, err
	}
	items, err := s.items(form, "items")
	if err != nil {
		return nil, err
	}
	return s.subscriptionJSON(c, s.subscribe(c, items, group(form, "metadata"))), nil
}

func (s *Server) subscribe(c *customer, items []item, metadata map[string]string) *subscription {
	now := s.now()
	sub := &subscription{ID: s.id("sub"), Status: "active", Created: now, PeriodStart: now, Items: items, Metadata: metadata}
	sub.PeriodEnd = s.periodAfter(sub, now)
	c.Subscriptions = append(c.Subscriptions, sub)
	s.emit("customer.subscription.created", s.subscriptionJSON(c, sub))
	return sub
}

func (s *Server) periodAfter(sub *subscription, start time.Time) time.Time {
	if p, _ := s.price(sub.Items[0].Price); p.Interval == "year" {
		return start.AddDate(1, 0, 0)
	}
	return start.AddDate(0, 1, 0)
}

func (s *Server) listSubscriptions(_ *http.Request, form url.Values) (object, error) {
	among := s.state.Customers
	if id := form.Get("customer"); id != "" {
		c, err := s.find(id)
		if err != nil {
			return nil, err
		}
		among = []*customer{c}
	}
	status := form.Get("status")
	all := []object{}
	for _, c := range slices.Backward(among) {
		for _, sub := range slices.Backward(c.Subscriptions) {
			if status == "all" || status == sub.Status || status == "" && sub.Status != "canceled" {
				all = append(all, s.subscriptionJSON(c, sub))
			}
		}
	}
	return list(form, "/v1/subscriptions", all)
}

func (s *Server) subscription(id string) (*customer, *subscription, error) {
	for _, c := range s.state.Customers {
		for _, sub := range c.Subscriptions {
			if sub.ID == id {
				return c, sub, nil
			}
		}
	}
	return nil, nil, noSuch("subscription", id)
}

func (s *Server) readSubscription(r *http.Request, _ url.Values) (object, error) {
	c, sub, err := s.subscription(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return s.subscriptionJSON(c, sub), nil
}

func (s *Server) updateSubscription(r *http.Request, form url.Values) (object, error) {
	c, sub, err := s.subscription(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if form.Has("items[0][price]") {
		if sub.Items, err = s.items(form, "items"); err != nil {
			return nil, err
		}
	}
	if form.Has("cancel_at_period_end") {
		sub.CancelAtPeriodEnd = form.Get("cancel_at_period_end") == "true"
	}
	s.emit("customer.subscription.updated", s.subscriptionJSON(c, sub))
	return s.subscriptionJSON(c, sub), nil
}

func (s *Server) cancelSubscription(r *http.Request, _ url.Values) (object, error) {
	c, sub, err := s.subscription(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	s.end(c, sub)
	return s.subscriptionJSON(c, sub), nil
}

func (s *Server) end(c *customer, sub *subscription) {
	if sub.Status == "canceled" {
		return
	}
	sub.Status = "canceled"
	s.emit("customer.subscription.deleted", s.subscriptionJSON(c, sub))
}

func (s *Server) listItems(_ *http.Request, form url.Values) (object, error) {
	_, sub, err := s.subscription(form.Get("subscription"))
	if err != nil {
		return nil, err
	}
	all := make([]object, len(sub.Items))
	for i, it := range sub.Items {
		all[i] = s.itemJSON(sub, it)
	}
	return list(form, "/v1/subscription_items", all)
}
