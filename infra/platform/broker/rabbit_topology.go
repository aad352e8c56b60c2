package broker

import (
	"fmt"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// The topology in RabbitMQ, all of it durable, under the topology's prefix:
//
//	<prefix>.work           direct exchange, routing key = queue
//	<prefix>.<queue>        quorum queue that is consumed
//	<prefix>.<queue>.dead   quorum queue of its dead letters
//	<prefix>.retry.<ms>     fanout exchange and quorum queue, one rung of the ladder: what is published
//	                        there expires after <ms> into the work exchange, under its own routing key
//
// A queue cannot be declared again with other arguments, so none depends on configuration. Debian's
// RabbitMQ 3.10 has no delayed exchange; one queue a rung works everywhere.

const (
	// deliveryLimit is how often RabbitMQ hands a message to consumers that vanish before it makes it a
	// dead letter by itself. 3.10 has no limit unless told, 4.x has 20.
	deliveryLimit = 20
	// unlimited is for queues from which nothing may be dropped: a version that has a limit by default
	// knows no portable way to have none.
	unlimited = 1 << 30
)

func (t Topology) exchange() string             { return t.Prefix + ".work" }
func (t Topology) queue(name string) string     { return t.Prefix + "." + name }
func (t Topology) deadQueue(name string) string { return t.Prefix + "." + name + ".dead" }

func (t Topology) retry(delay time.Duration) string {
	return t.Prefix + ".retry." + strconv.FormatInt(delay.Milliseconds(), 10)
}

func (t Topology) declare(conn *amqp.Connection) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	if err := ch.ExchangeDeclare(t.exchange(), amqp.ExchangeDirect, true, false, false, false, nil); err != nil {
		return fmt.Errorf("declare %s: %w", t.exchange(), err)
	}
	for _, name := range t.Queues {
		if err := t.declareQueue(ch, name); err != nil {
			return fmt.Errorf("declare %s: %w", t.queue(name), err)
		}
	}
	for _, delay := range t.Ladder {
		if err := t.declareRung(ch, delay); err != nil {
			return fmt.Errorf("declare %s: %w", t.retry(delay), err)
		}
	}
	return nil
}

func (t Topology) declareQueue(ch *amqp.Channel, name string) error {
	_, err := ch.QueueDeclare(t.deadQueue(name), true, false, false, false, amqp.Table{
		amqp.QueueTypeArg: amqp.QueueTypeQuorum, "x-delivery-limit": unlimited,
	})
	if err != nil {
		return err
	}
	_, err = ch.QueueDeclare(t.queue(name), true, false, false, false, amqp.Table{
		amqp.QueueTypeArg:           amqp.QueueTypeQuorum,
		"x-delivery-limit":          deliveryLimit,
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": t.deadQueue(name),
		"x-dead-letter-strategy":    "at-least-once",
		"x-overflow":                "reject-publish", // without it that strategy falls back silently
	})
	if err != nil {
		return err
	}
	return ch.QueueBind(t.queue(name), name, t.exchange(), false, nil)
}

func (t Topology) declareRung(ch *amqp.Channel, delay time.Duration) error {
	name := t.retry(delay)
	if err := ch.ExchangeDeclare(name, amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
		return err
	}
	_, err := ch.QueueDeclare(name, true, false, false, false, amqp.Table{
		amqp.QueueTypeArg:        amqp.QueueTypeQuorum,
		"x-delivery-limit":       unlimited,
		"x-message-ttl":          delay.Milliseconds(),
		"x-dead-letter-exchange": t.exchange(),
		"x-dead-letter-strategy": "at-least-once",
		"x-overflow":             "reject-publish",
	})
	if err != nil {
		return err
	}
	return ch.QueueBind(name, "", name, false, nil)
}
