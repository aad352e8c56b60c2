// Package broker carries messages from topics to subscriptions.
//
// There are two transports with the same behaviour, held to it by one
// conformance suite: [Memory] inside the process, and [Rabbit] over RabbitMQ.
//
//   - Every subscription gets its own copy of each message of its topic.
//   - Delivery is at least once. A handler that fails or panics is retried
//     after a back-off that doubles, until its retries are used up.
//   - A message that is given up goes to the subscription's dead letters with
//     the reason; it is never dropped silently.
//   - Publish returns once every subscription's copy is safe with the
//     transport, or an error.
//
// Ordering between messages is not kept.
package broker
