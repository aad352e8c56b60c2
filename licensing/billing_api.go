package licensing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"encore.app/audit/event"
	"encore.app/authz"
	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/rowid"
	"encore.app/infra/platform/tenantdb"
	"encore.app/licensing/catalogue"
	"encore.app/licensing/stripesync"
	encore "encore.dev"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
	"github.com/jackc/pgx/v5"
	stripe "github.com/stripe/stripe-go/v76"
)

// partStripe is how Stripe is called towards callers and operators.
const partStripe = "stripe"

// billing refuses where it is off.
func (s *Service) billing() (*stripesync.Client, error) {
	if s.stripe == nil {
		return nil, &errs.Error{
			Code:    errs.Unavailable,
			Message: "billing is off here: STRIPE_API_KEY is not set, licences are granted by hand",
			Details: fault.Details{Reason: fault.DependencyUnavailable, Part: partStripe},
		}
	}
	return s.stripe, nil
}

const (
	// counters is how many requests of this process may wait for Stripe at once, at most.
	counters = 4
	// counterWithin bounds one such request's time with Stripe.
	counterWithin = 15 * time.Second
)

// counter is where requests wait for Stripe; those that find nobody free are told to come back.
type counter chan struct{}

// newCounter is one beside a pool of so many connections. With an Idempotency-Key, each who waits keeps one
// of them, and one of the turns that half as many writes get: a slow Stripe must leave half of the turns to
// writes that have nothing to do with it.
func newCounter(connections int32) counter {
	return make(counter, max(1, min(counters, connections/4)))
}

var errBusy = errors.New("as many requests wait for stripe as may")

func (c counter) take(ctx context.Context) (at context.Context, leave func(), err error) {
	select {
	case c <- struct{}{}:
	default:
		return nil, nil, fault.Unavailable(partStripe, errBusy)
	}
	at, cancel := context.WithTimeout(ctx, counterWithin)
	return at, func() { cancel(); <-c }, nil
}

// away is how a Stripe that does not do what we ask looks from outside: it does not answer, it answers
// nonsense, or it does not know our key, our prices or our customer. The log has which.
func away(err error) error {
	var refused *stripe.Error
	if errors.As(err, &refused) && refused.Type == stripe.ErrorTypeIdempotency {
		return fault.KeyReused() // its first request got as far as Stripe, and we kept no answer
	}
	if fault.As(err) != nil || !stripesync.Failed(err) {
		return err
	}
	return fault.Unavailable(partStripe, err)
}

// CheckoutRequest is what to buy.
type CheckoutRequest struct {
	IdempotencyKey string `header:"Idempotency-Key"`
	Tier           string `json:"tier" schema:"enum=pro|enterprise"`                  // pro, enterprise
	Interval       string `json:"interval,omitempty" schema:"enum=month|year"`        // month, year; month if not given
	Seats          int    `json:"seats,omitempty" schema:"minimum=0;maximum=1000000"` // the tier's own number if not given
}

// Validate checks the request.
func (r *CheckoutRequest) Validate() error {
	var c fault.Checks
	c.OneOf("tier", r.Tier, catalogue.Pro, catalogue.Enterprise)
	if r.Interval != "" {
		c.OneOf("interval", r.Interval, "month", "year")
	}
	if r.Seats < 0 || r.Seats > catalogue.MaxSeats {
		c.Add("seats", "must be from 1 to %d", catalogue.MaxSeats)
	}
	return c.Err()
}

// URLResponse is a page to send the browser to.
type URLResponse struct {
	URL string `json:"url"`
}

// Checkout answers a page at Stripe on which the organisation buys a tier. What it bought counts as
// soon as Stripe has told us. An organisation that pays already is sent to the page where it changes
// what it pays for.
//
// Owners, administrators and billing may. Refuses with validation_failed (also where the licence is
// granted by hand), seat_limit (fewer seats than members), org_suspended, impersonation_readonly,
// policy_denied and dependency_unavailable (Stripe is away or not configured).
//
//encore:api auth method=POST path=/api/v1/org/:org_id/billing/checkout
func (s *Service) Checkout(ctx context.Context, org_id uuid.UUID, r *CheckoutRequest) (*URLResponse, error) {
	d, err := authz.Check(ctx, "license:checkout", resource(org_id))
	if err != nil {
		return nil, err
	}
	client, err := s.billing()
	if err != nil {
		return nil, err
	}
	p, err := s.store.purchase(ctx, org_id, r)
	if err != nil {
		return nil, err
	}
	at, leave, err := s.counter.take(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	p.ReturnURL, p.IdempotencyKey = returnURL(), keyAtStripe(ctx, "checkout", r.IdempotencyKey)
	url, err := s.store.asCustomer(at, client, org_id, func(c stripesync.Customer) (string, error) {
		if c.Subscription != "" {
			return client.Portal(at, c.ID, p.ReturnURL, keyAtStripe(ctx, "portal", r.IdempotencyKey))
		}
		p.Customer = c.ID
		return client.Checkout(at, p)
	})
	if err != nil {
		return nil, away(err)
	}
	if err := s.store.note(ctx, org_id, "license:checkout", d, map[string]any{"tier": r.Tier, "seats": p.Seats}); err != nil {
		return nil, err
	}
	return &URLResponse{URL: url}, nil
}

// purchase is what the request buys, if it can be bought.
func (s store) purchase(ctx context.Context, org uuid.UUID, r *CheckoutRequest) (stripesync.Purchase, error) {
	interval, seats := r.Interval, r.Seats
	if interval == "" {
		interval = "month"
	}
	if seats == 0 {
		seats = s.catalogue.SeatsOf(r.Tier)
	}
	var c fault.Checks
	product := s.catalogue.Tier(r.Tier).Stripe
	if product == nil || product.Prices[interval].LookupKey == "" {
		c.Add("interval", "is none that %s is sold by", r.Tier)
		return stripesync.Purchase{}, c.Err()
	}
	l, err := s.of(ctx, tenantdb.Org(org), org)
	if err != nil {
		return stripesync.Purchase{}, err
	}
	if state, _ := s.state(l, s.now()); l.Source == sourceManual && state != stateExpired {
		c.Add("tier", "is granted by hand here: ask the platform's staff to change it")
		return stripesync.Purchase{}, c.Err()
	}
	used, err := s.used(ctx, org)
	if err != nil {
		return stripesync.Purchase{}, err
	}
	if int64(seats) < used[catalogue.Seats] {
		return stripesync.Purchase{}, fault.New(errs.FailedPrecondition, fault.SeatLimit, "the organisation has more members than these seats")
	}
	return stripesync.Purchase{Org: org.String(), LookupKey: product.Prices[interval].LookupKey, Seats: seats}, nil
}

// PortalRequest asks for the page on which a customer manages what it bought.
type PortalRequest struct {
	IdempotencyKey string `header:"Idempotency-Key"`
}

// Portal answers a page at Stripe on which the organisation sees its invoices, changes how it pays,
// and ends its subscription.
//
// Owners, administrators and billing may. Refuses with org_suspended, impersonation_readonly,
// policy_denied and dependency_unavailable (Stripe is away or not configured).
//
//encore:api auth method=POST path=/api/v1/org/:org_id/billing/portal
func (s *Service) Portal(ctx context.Context, org_id uuid.UUID, r *PortalRequest) (*URLResponse, error) {
	d, err := authz.Check(ctx, "license:checkout", resource(org_id))
	if err != nil {
		return nil, err
	}
	client, err := s.billing()
	if err != nil {
		return nil, err
	}
	at, leave, err := s.counter.take(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	url, err := s.store.asCustomer(at, client, org_id, func(c stripesync.Customer) (string, error) {
		return client.Portal(at, c.ID, returnURL(), keyAtStripe(ctx, "portal", r.IdempotencyKey))
	})
	if err != nil {
		return nil, away(err)
	}
	if err := s.store.note(ctx, org_id, "license:portal", d, nil); err != nil {
		return nil, err
	}
	return &URLResponse{URL: url}, nil
}

// asCustomer does what only a customer can do at Stripe. An organisation that is none becomes one, and
// one whose customer was deleted there becomes another.
func (s store) asCustomer(ctx context.Context, client *stripesync.Client, org uuid.UUID, do func(stripesync.Customer) (string, error)) (string, error) {
	c, ok, err := stripesync.CustomerOf(ctx, s.db, org)
	if err == nil && !ok {
		c, err = s.newCustomer(ctx, client, stripesync.Customer{OrgID: org})
	}
	if err != nil {
		return "", err
	}
	out, err := do(c)
	if err == nil || !client.Deleted(ctx, c.ID, err) {
		return out, err
	}
	if c, err = s.newCustomer(ctx, client, c); err != nil {
		return "", err
	}
	return do(c)
}

// newCustomer makes the organisation a customer, in the place of the deleted one unless that has no id.
func (s store) newCustomer(ctx context.Context, client *stripesync.Client, deleted stripesync.Customer) (c stripesync.Customer, err error) {
	id, err := client.CreateCustomer(ctx, deleted.OrgID.String(), deleted.ID)
	if err != nil {
		return c, err
	}
	err = s.db.Tx(ctx, tenantdb.Org(deleted.OrgID), func(tx pgx.Tx) error {
		var err error
		if deleted.ID != "" {
			err = stripesync.Replace(ctx, tx, deleted, id)
		} else {
			_, err = stripesync.Link(ctx, tx, deleted.OrgID, id)
		}
		if err != nil {
			return err
		}
		return s.stands(ctx, tx, deleted.OrgID) // after the customer, as an erasure locks them
	})
	if err != nil {
		return c, err
	}
	// Another request may have been first: what is linked counts.
	c, ok, err := stripesync.CustomerOf(ctx, s.db, deleted.OrgID)
	if err == nil && !ok {
		err = errors.New("licensing: the customer at Stripe belongs to another organisation")
	}
	return c, err
}

// note records what was begun at Stripe; it has no change of ours to go with.
func (s store) note(ctx context.Context, org uuid.UUID, action string, d authz.Decision, what map[string]any) error {
	e, err := event.New(ctx, org, action, event.Resource{Kind: "license", ID: org.String()}, event.Succeeded, d).With(what)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, tenantdb.Org(org), func(tx pgx.Tx) error { return e.Record(ctx, tx) })
}

// keyAtStripe makes the caller's idempotency key one of Stripe's, so that a request that is repeated
// after its answer was lost begins nothing twice. Callers cannot guess each other's.
func keyAtStripe(ctx context.Context, what, key string) string {
	p, err := authz.Principal(ctx)
	if key == "" || err != nil {
		return rowid.New().String()
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{what, p.OrgID(), p.ID(), key}, "\x00")))
	return "tenantry-" + hex.EncodeToString(sum[:])
}

// returnURL is where Stripe's pages lead back to.
func returnURL() string {
	if secrets.BILLING_RETURN_URL != "" {
		return secrets.BILLING_RETURN_URL
	}
	base := encore.Meta().APIBaseURL
	return base.String()
}
