package audit

import (
	"context"
	"fmt"
	"time"

	"encore.app/audit/event"
	"encore.app/infra/platform/incident"
	redaction "encore.app/infra/platform/redact"
	"encore.app/infra/platform/tracing"
	encore "encore.dev"
	"encore.dev/pubsub"
	"encore.dev/rlog"
)

// Events carries audit events from the outbox to the log.
var Events = pubsub.NewTopic[*event.Event]("audit-events", pubsub.TopicConfig{
	DeliveryGuarantee: pubsub.AtLeastOnce,
})

// redeliveries is how often the broker delivers an event again that was not kept: the policy's MaxRetries.
const redeliveries = 3

var logSubscription = pubsub.NewSubscription(Events, "audit-log", pubsub.SubscriptionConfig[*event.Event]{
	Handler:        pubsub.MethodHandler((*Service).keep),
	MaxConcurrency: 8,
	// The outbox delivers again what is not settled, so the broker need not hold on to it for long.
	RetryPolicy: &pubsub.RetryPolicy{MinBackoff: time.Second, MaxBackoff: 5 * time.Second, MaxRetries: 3},
})

// keep writes one event. It may come more than once; the log has it once.
func (s *Service) keep(ctx context.Context, e *event.Event) error {
	attempt := 1
	if m := encore.CurrentRequest().Message; m != nil {
		attempt = m.DeliveryAttempt
	}
	return s.keepAt(ctx, e, attempt)
}

// keepAt is one attempt to keep e. The last one lets go of it whatever comes of it: a broker sets aside
// what fails then, with all that it says of persons, and the outbox has the event still and sends it again.
func (s *Service) keepAt(ctx context.Context, e *event.Event, attempt int) (err error) {
	if attempt > redeliveries {
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v", v)
			}
			if err != nil {
				rlog.Warn("an audit event is left to the outbox", "event_id", e.ID, "attempt", attempt, "err", redaction.Error(err))
				err = nil
			}
		}()
	}
	defer incident.Recovered("audit-log", e.RequestID)
	ctx, span := tracing.Continue(ctx, e.Traceparent, tracing.Consumer, "process audit-log")
	span.Set("messaging.message.id", e.ID.String())
	err = s.store.append(ctx, *e)
	span.End(err)
	if err == nil {
		s.sequencer.Wake()
	}
	return err
}
