package stripesync

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"encore.app/licensing/catalogue"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
)

// callWithin bounds one exchange with Stripe.
const callWithin = 10 * time.Second

// pageSize is the most that Stripe lists at once.
const pageSize = 100

// metadataOrg is the key under which Stripe's objects carry our organisation.
const metadataOrg = "org_id"

// Config is what a Client needs.
type Config struct {
	Key       string
	BaseURL   string // "" is Stripe's own
	Catalogue *catalogue.Catalogue
	Now       func() time.Time // nil is the usual
}

// Client speaks with Stripe.
type Client struct {
	api *client.API
	cfg Config
}

// NewClient connects lazily.
func NewClient(cfg Config) *Client {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	backend := &stripe.BackendConfig{
		HTTPClient:        &http.Client{Timeout: callWithin, Transport: bounded{http.DefaultTransport}},
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull}, // errors are logged by whoever gets them
		MaxNetworkRetries: stripe.Int64(1),
		EnableTelemetry:   stripe.Bool(false),
	}
	if cfg.BaseURL != "" {
		backend.URL = stripe.String(cfg.BaseURL)
	}
	return &Client{cfg: cfg, api: client.New(cfg.Key, &stripe.Backends{
		API:     stripe.GetBackendWithConfig(stripe.APIBackend, backend),
		Connect: stripe.GetBackendWithConfig(stripe.ConnectBackend, backend),
		Uploads: stripe.GetBackendWithConfig(stripe.UploadsBackend, backend),
	})}
}

// Owner is the organisation that a customer's metadata names; "" if it names none or is gone.
func (c *Client) Owner(ctx context.Context, customer string) (string, error) {
	params := &stripe.CustomerParams{}
	params.Context = ctx
	found, err := c.api.Customers.Get(customer, params)
	if missing(err) {
		return "", nil
	}
	if err != nil {
		return "", failedCall("customer", err)
	}
	if found.ID != customer {
		return "", nonsense("customer", "another customer")
	}
	return found.Metadata[metadataOrg], nil
}

// Deleted says whether a call failed because its customer was deleted.
func (c *Client) Deleted(ctx context.Context, customer string, err error) bool {
	return missing(err) && c.deleted(ctx, customer) == nil
}

// deleted is nil if a customer that Stripe does not know any more was deleted. One that this account never
// had is an error: a key of another account must not end every licence.
func (c *Client) deleted(ctx context.Context, customer string) error {
	params := &stripe.CustomerParams{}
	params.Context = ctx
	found, err := c.api.Customers.Get(customer, params)
	if err == nil && (found.ID != customer || !found.Deleted) {
		err = errNonsense
	}
	if err != nil {
		return failedCall("customer", err)
	}
	return nil
}

// Customers calls each with every customer that names an organisation.
func (c *Client) Customers(ctx context.Context, each func(customer string) error) error {
	params := &stripe.CustomerListParams{}
	params.Context, params.Limit = ctx, stripe.Int64(pageSize)
	list, read := c.api.Customers.List(params), listing{call: "customers"}
	for list.Next() {
		if err := read.take(list.Customer().ID); err != nil {
			return err
		}
		if list.Customer().Metadata[metadataOrg] == "" {
			continue
		}
		if err := each(list.Customer().ID); err != nil {
			return err
		}
	}
	return read.whole(list.Iter)
}

// CreateCustomer makes the customer of an organisation, in the place of one that was deleted unless
// that is "". Made twice within a day, it is one.
func (c *Client) CreateCustomer(ctx context.Context, org, deleted string) (string, error) {
	params := &stripe.CustomerParams{}
	params.Context = ctx
	params.AddMetadata(metadataOrg, org)
	params.SetIdempotencyKey("tenantry-customer-" + org + deleted)
	made, err := c.api.Customers.New(params)
	if err != nil {
		return "", failedCall("create customer", err)
	}
	if made.ID == "" {
		return "", nonsense("create customer", "no id")
	}
	return made.ID, nil
}

// Purchase is what a checkout sells.
type Purchase struct {
	Org, Customer  string
	LookupKey      string // of the price
	Seats          int
	ReturnURL      string
	IdempotencyKey string
}

// ErrNoPrice says that Stripe does not have a price of the catalogue.
var ErrNoPrice = errors.New("stripe has no active price with this lookup key")

// Checkout makes a page on which the organisation buys, and answers its address.
func (c *Client) Checkout(ctx context.Context, p Purchase) (string, error) {
	prices := &stripe.PriceListParams{LookupKeys: []*string{&p.LookupKey}, Active: stripe.Bool(true)}
	prices.Context, prices.Limit, prices.Single = ctx, stripe.Int64(1), true
	list := c.api.Prices.List(prices)
	if !list.Next() {
		if err := list.Err(); err != nil {
			return "", failedCall("prices", err)
		}
		return "", failedCall("prices", fmt.Errorf("%s: %w", p.LookupKey, ErrNoPrice))
	}
	params := &stripe.CheckoutSessionParams{
		Mode:              stripe.String(string(stripe.CheckoutSessionModeSubscription)),
		Customer:          &p.Customer,
		ClientReferenceID: &p.Org,
		LineItems:         []*stripe.CheckoutSessionLineItemParams{{Price: &list.Price().ID, Quantity: stripe.Int64(int64(p.Seats))}},
		SuccessURL:        &p.ReturnURL,
		CancelURL:         &p.ReturnURL,
		SubscriptionData:  &stripe.CheckoutSessionSubscriptionDataParams{Metadata: map[string]string{metadataOrg: p.Org}},
	}
	params.Context = ctx
	params.SetIdempotencyKey(p.IdempotencyKey)
	session, err := c.api.CheckoutSessions.New(params)
	if err != nil {
		return "", failedCall("checkout", err)
	}
	return page("checkout", session.URL)
}

// Portal makes a page on which a customer manages what it bought, and answers its address.
func (c *Client) Portal(ctx context.Context, customer, returnURL, idempotencyKey string) (string, error) {
	params := &stripe.BillingPortalSessionParams{Customer: &customer, ReturnURL: &returnURL}
	params.Context = ctx
	params.SetIdempotencyKey(idempotencyKey)
	session, err := c.api.BillingPortalSessions.New(params)
	if err != nil {
		return "", failedCall("portal", err)
	}
	return page("portal", session.URL)
}

// page is an address that a browser may be sent to.
func page(call, address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", nonsense(call, "no page")
	}
	return address, nil
}

// missing says that Stripe knows no such object.
func missing(err error) bool {
	var e *stripe.Error
	return errors.As(err, &e) && e.Code == stripe.ErrorCodeResourceMissing
}

// callError is a call of Stripe's API that failed.
type callError struct {
	call string
	err  error
}

func failedCall(call string, err error) error { return &callError{call, err} }

func (e *callError) Error() string { return "stripe: " + e.call + ": " + e.err.Error() }

func (e *callError) Unwrap() error { return e.err }

// Failed says that err is of a call to Stripe, and not of ours.
func Failed(err error) bool {
	var call *callError
	return errors.As(err, &call)
}

// Describe says what went wrong in words that may be kept and shown to platform staff: nothing of the
// request, no key, no customer's data.
func Describe(err error) string {
	var e *stripe.Error
	if errors.As(err, &e) {
		if e.Code != "" {
			return fmt.Sprintf("stripe answered %d %s", e.HTTPStatusCode, e.Code)
		}
		return fmt.Sprintf("stripe answered %d", e.HTTPStatusCode)
	}
	var call *callError
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, ErrNoPrice):
		return "stripe lacks a price of the catalogue"
	case errors.Is(err, errNonsense):
		return "stripe's answer makes no sense"
	case errors.As(err, &call):
		return "stripe did not answer"
	}
	return "internal error"
}
