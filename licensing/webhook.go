package licensing

import (
	"context"
	"errors"
	"io"
	"net/http"

	"encore.app/infra/platform/fault"
	"encore.app/infra/platform/meter"
	"encore.app/infra/platform/request"
	"encore.app/licensing/stripesync"
	"encore.dev/beta/errs"
	"encore.dev/rlog"
)

// maxDelivery is the largest delivery that is taken.
const maxDelivery = 1 << 20

var deliveries = meter.Counter("tenantry_billing_webhooks_total",
	"Deliveries by Stripe, by result: accepted, duplicate, forged, stale, malformed, too_large, off, failed.",
	"result", "accepted", "duplicate", "forged", "stale", "malformed", "too_large", "off", "failed")

// StripeWebhook takes Stripe's deliveries: it checks the signature over the bytes as they came, keeps
// the event's id, and marks the customer to be looked at. A delivery that came before, replayed or
// sent twice by Stripe, is answered like the first and has no effect.
//
// Anyone may who can sign. Refuses with bad_signature (400; forged, or older than five minutes),
// validation_failed, payload_too_large (413) and, where no secret is set, not_found.
//
//encore:api public raw method=POST path=/webhooks/stripe tag:open
func (s *Service) StripeWebhook(w http.ResponseWriter, r *http.Request) {
	result, err := s.deliver(w, r)
	deliveries.WithLabelValues(result).Inc()
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		info := request.From(r.Context())
		if cause := fault.Cause(err); cause != nil || fault.As(err) == nil {
			rlog.Error("delivery of Stripe not taken", "request_id", info.ID, "err", errors.Join(err, cause))
		}
		errs.HTTPError(withStatus{w, fault.Status(err)}, fault.Finish(err, info.ID))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"received":true}`+"\n")
}

// withStatus lets an error leave with a status that its code does not have.
type withStatus struct {
	http.ResponseWriter
	status int
}

// WriteHeader is that of [http.ResponseWriter].
func (w withStatus) WriteHeader(int) { w.ResponseWriter.WriteHeader(w.status) }

// deliver takes one delivery and says how it is counted.
func (s *Service) deliver(w http.ResponseWriter, r *http.Request) (result string, err error) {
	if len(s.hooks) == 0 {
		return "off", fault.NotFound("webhook")
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDelivery))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return "too_large", fault.WithStatus(fault.New(errs.InvalidArgument, fault.PayloadTooLarge, "the delivery is larger than 1 MiB"), http.StatusRequestEntityTooLarge)
	case err != nil:
		return "malformed", fault.New(errs.InvalidArgument, fault.ValidationFailed, "the delivery did not arrive in full")
	}
	e, err := stripesync.Verify(payload, r.Header.Get("Stripe-Signature"), s.hooks)
	switch {
	case errors.Is(err, stripesync.ErrStale):
		return "stale", fault.New(errs.InvalidArgument, fault.BadSignature, "the signature is too old")
	case errors.Is(err, stripesync.ErrForged):
		return "forged", fault.New(errs.InvalidArgument, fault.BadSignature, "no valid signature")
	case err != nil:
		return "malformed", fault.New(errs.InvalidArgument, fault.ValidationFailed, "the body is not an event")
	}
	// Stripe may hang up; what it has delivered is kept all the same.
	fresh, err := stripesync.Queue{DB: s.store.db}.Receive(context.WithoutCancel(r.Context()), e)
	switch {
	case err != nil:
		return "failed", err
	case !fresh:
		return "duplicate", nil
	}
	return "accepted", nil
}
