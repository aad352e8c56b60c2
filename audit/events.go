package audit

import (
	"context"
	"time"

	"encore.app/audit/event"
	"encore.app/infra/platform/incident"
	"encore.app/infra/platform/tracing"
	"encore.dev/pubsub"
)

// Events carries audit events from the outbox to the log.
var Events = pubsub.NewTopic[*event.Event]("audit-events", pubsub.TopicConfig{
	DeliveryGuarantee: pubsub.AtLeastOnce,
})

var _ = pubsub.NewSubscription(Events, "audit-log", pubsub.SubscriptionConfig[*event.Event]{
	Handler:        pubsub.MethodHandler((*Service).keep),
	MaxConcurrency: 8,
	// The outbox delivers again what is not settled, so the broker need not hold on to it for long.
	RetryPolicy: &pubsub.RetryPolicy{MinBackoff: time.Second, MaxBackoff: 5 * time.Second, MaxRetries: 3},
})

// keep writes one event. It may come more than once; the log has it once.
func (s *Service) keep(ctx context.Context, e *event.Event) error {
	defer incident.Recovered("audit-log", e.RequestID)
	ctx, span := tracing.Continue(ctx, e.Traceparent, tracing.Consumer, "process audit-log")
	span.Set("messaging.message.id", e.ID.String())
	err := s.store.append(ctx, *e)
	span.End(err)
	if err == nil {
		s.sequencer.Wake()
	}
	return err
}
