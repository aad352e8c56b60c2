// Package broker carries messages to queues, and back to them after a failure.
//
// There are two brokers with the same behaviour, held to it by one conformance suite: [Rabbit], over
// RabbitMQ 3.10 or later, and [Memory], inside the process, for where RABBITMQ_URL is not set.
//
//   - Publish returns once every message is safe with the broker, or an error. Many may be on their
//     way at once; a window bounds how many.
//   - Delivery is at least once. A message is acknowledged after its effect; one whose handler died is
//     delivered again, with the same id.
//   - A handler that fails is tried again after a delay, one rung of the [Ladder]. The attempt's number
//     travels with the message.
//   - A message that is given up goes to the queue's dead letters with the reason, the attempts and the
//     times; a consumer's Dead takes them from there, so that they can be kept where people look.
//   - Order is not kept.
//
// A broker may lose what it holds (the one in the process does so whenever the process ends). Whoever
// publishes therefore keeps the work itself in rows, lets messages carry ids alone, and publishes
// again what was not done in time; and the consumer claims the id in the transaction of its effect.
package broker
