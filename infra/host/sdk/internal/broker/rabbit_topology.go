package broker

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// The topology in the broker, all of it durable:
//
//	pubsub.<topic>                       fanout exchange that the topic publishes to
//	pubsub.<topic>.<subscription>        quorum queue that is consumed
//	pubsub.<topic>.<subscription>.dead   quorum queue of its dead letters
//	pubsub.retry.<ms>                    fanout exchange and quorum queue, one step of the
//	                                     back-off ladder, shared by all subscriptions: what is
//	                                     published there with a queue's name as routing key
//	                                     expires into that queue after <ms>
//
// No argument depends on configuration that may change, because a queue cannot
// be declared again with other arguments.

// deliveryLimit is how often the broker hands a message to consumers that
// vanish (a crash, not an error) before it makes it a dead letter by itself.
const deliveryLimit = 20

func exchangeName(topic string) string { return "pubsub." + topic }

func queueName(s *Subscription) string { return "pubsub." + s.Topic + "." + s.Name }

func deadName(s *Subscription) string { return queueName(s) + ".dead" }

func retryName(delay time.Duration) string {
	return "pubsub.retry." + strconv.FormatInt(delay.Milliseconds(), 10)
}

func declare(conn *amqp.Connection, t Topology) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	defer ch.Close() //nolint:errcheck // an error has closed it already
	for _, topic := range t.Topics {
		if err := ch.ExchangeDeclare(exchangeName(topic), amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
	}
	for _, s := range t.Subscriptions {
		if err := declareSubscription(ch, s); err != nil {
			return fmt.Errorf("subscription %s of topic %s: %w", s.Name, s.Topic, err)
		}
	}
	for _, delay := range ladder(t.Subscriptions) {
		if err := declareStep(ch, delay); err != nil {
			return fmt.Errorf("back-off of %s: %w", delay, err)
		}
	}
	return nil
}

func declareSubscription(ch *amqp.Channel, s *Subscription) error {
	if _, err := ch.QueueDeclare(deadName(s), true, false, false, false, quorum(nil)); err != nil {
		return err
	}
	_, err := ch.QueueDeclare(queueName(s), true, false, false, false, quorum(amqp.Table{
		"x-delivery-limit":          deliveryLimit,
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": deadName(s),
		"x-dead-letter-strategy":    "at-least-once",
		"x-overflow":                "reject-publish", // which that strategy needs
	}))
	if err != nil {
		return err
	}
	return ch.QueueBind(queueName(s), "", exchangeName(s.Topic), false, nil)
}

func declareStep(ch *amqp.Channel, delay time.Duration) error {
	name := retryName(delay)
	if err := ch.ExchangeDeclare(name, amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
		return err
	}
	// Without a dead-letter routing key the message keeps its own: the queue it came from.
	_, err := ch.QueueDeclare(name, true, false, false, false, quorum(amqp.Table{
		"x-message-ttl":          delay.Milliseconds(),
		"x-dead-letter-exchange": "",
		"x-dead-letter-strategy": "at-least-once",
		"x-overflow":             "reject-publish",
	}))
	if err != nil {
		return err
	}
	return ch.QueueBind(name, "", name, false, nil)
}

func quorum(args amqp.Table) amqp.Table {
	t := amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum}
	for k, v := range args {
		t[k] = v
	}
	return t
}

// ladder lists every delay that a retry of these subscriptions may need.
func ladder(subs []*Subscription) []time.Duration {
	var steps []time.Duration
	for _, s := range subs {
		for attempt := 1; ; attempt++ {
			if s.MaxRetries != Infinite && attempt > s.MaxRetries {
				break
			}
			steps = append(steps, s.backoff(attempt))
			if s.backoff(attempt) == s.MaxBackoff {
				break
			}
		}
	}
	slices.Sort(steps)
	return slices.Compact(steps)
}
