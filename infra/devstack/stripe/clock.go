package stripe

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// PaymentFails is the metadata of a customer whose renewals fail.
const PaymentFails = "payment_fails"

// Advance moves the clock, and with it every subscription through the renewals that fall due.
func (s *Server) Advance(to time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(to)
	s.save()
}

func (s *Server) advance(to time.Time) {
	s.state.Skew += to.Sub(s.now())
	for _, c := range s.state.Customers {
		for _, sub := range c.Subscriptions {
			for sub.Status != "canceled" && !sub.PeriodEnd.After(s.now()) {
				if sub.CancelAtPeriodEnd {
					s.end(c, sub)
					break
				}
				sub.PeriodStart, sub.PeriodEnd = sub.PeriodEnd, s.periodAfter(sub, sub.PeriodEnd)
				sub.Status = "active"
				if c.Metadata[PaymentFails] != "" {
					sub.Status = "past_due"
				}
				s.emit("customer.subscription.updated", s.subscriptionJSON(c, sub))
			}
		}
	}
}

// There is one clock for every customer, whatever the clocks are called.
func (s *Server) clockJSON(id string) object {
	return object{
		"id": id, "object": "test_helpers.test_clock", "frozen_time": s.now().Unix(), "created": s.now().Unix(), "livemode": false, "status": "ready",
	}
}

func (s *Server) createClock(_ *http.Request, form url.Values) (object, error) {
	return s.moveClock(s.id("clock"), form)
}

func (s *Server) readClock(r *http.Request, _ url.Values) (object, error) {
	return s.clockJSON(r.PathValue("id")), nil
}

func (s *Server) advanceClock(r *http.Request, form url.Values) (object, error) {
	return s.moveClock(r.PathValue("id"), form)
}

func (s *Server) moveClock(id string, form url.Values) (object, error) {
	at, err := strconv.ParseInt(form.Get("frozen_time"), 10, 64)
	to := time.Unix(at, 0)
	if err != nil || to.Before(s.now().Truncate(time.Second)) {
		return nil, wrong("frozen_time must not lie in the past")
	}
	if to.After(s.now()) {
		s.advance(to)
	}
	return s.clockJSON(id), nil
}
