// Package pubsub gives services topics and subscriptions.
//
//	var Signups = pubsub.NewTopic[*Signup]("signups", pubsub.TopicConfig{DeliveryGuarantee: pubsub.AtLeastOnce})
//
//	var _ = pubsub.NewSubscription(Signups, "welcome", pubsub.SubscriptionConfig[*Signup]{Handler: Welcome})
//
// Messages go through RabbitMQ if RABBITMQ_URL is set, otherwise through the
// process itself; the rules are the same (package internal/broker). Delivery is
// at least once under either guarantee, so handlers must be idempotent. In tests
// nothing is delivered: et.Topic shows what was published.
package pubsub
