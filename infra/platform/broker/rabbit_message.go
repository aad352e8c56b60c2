package broker

import (
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Headers of a message in RabbitMQ. The attempt is ours and has no "x-": what RabbitMQ counts itself
// depends on its version, and 4.x ignores its own headers on a message that is published again.
const (
	headerAttempt     = "tenantry-attempt"
	headerPublished   = "tenantry-published" // with nanoseconds; AMQP's own stamp has seconds
	headerFirstFailed = "tenantry-first-failed"
	headerReason      = "tenantry-reason"
	headerError       = "tenantry-error"
	headerDiedAt      = "tenantry-died-at"
)

// maxErrorHeader keeps a dead letter's error well inside a frame.
const maxErrorHeader = 1000

func encode(m Message) amqp.Publishing {
	headers := amqp.Table{
		headerAttempt:   int32(m.Attempt),
		headerPublished: m.Published.UTC().Format(time.RFC3339Nano),
	}
	if !m.FirstFailed.IsZero() {
		headers[headerFirstFailed] = m.FirstFailed.UTC().Format(time.RFC3339Nano)
	}
	return amqp.Publishing{
		Headers: headers, ContentType: "application/json", DeliveryMode: amqp.Persistent,
		MessageId: m.ID, Timestamp: m.Published, Body: m.Body,
	}
}

func encodeDead(l DeadLetter) amqp.Publishing {
	p := encode(l.Message)
	p.Headers[headerReason] = string(l.Reason)
	p.Headers[headerError] = strings.ToValidUTF8(l.Error[:min(len(l.Error), maxErrorHeader)], "")
	p.Headers[headerDiedAt] = l.At.UTC().Format(time.RFC3339Nano)
	return p
}

// decode never fails: a message without our headers is a first attempt.
func decode(d *amqp.Delivery) Message {
	m := Message{
		ID: d.MessageId, Body: d.Body, Attempt: 1,
		Published: instant(d.Headers, headerPublished), FirstFailed: instant(d.Headers, headerFirstFailed),
	}
	if n, ok := d.Headers[headerAttempt].(int32); ok && n > 0 {
		m.Attempt = int(n)
	}
	return m
}

// decodeDead reads a letter of ours, or one that RabbitMQ made because its consumers kept vanishing.
func decodeDead(queue string, d *amqp.Delivery) DeadLetter {
	l := DeadLetter{Queue: queue, Message: decode(d), Reason: Crashing, At: instant(d.Headers, headerDiedAt)}
	if reason, ok := d.Headers[headerReason].(string); ok {
		l.Reason = Reason(reason)
	}
	l.Error, _ = d.Headers[headerError].(string)
	if l.At.IsZero() {
		l.At = time.Now()
	}
	return l
}

func instant(headers amqp.Table, name string) time.Time {
	text, _ := headers[name].(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return at
}
