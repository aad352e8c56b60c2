// Package rabbitmq runs a private RabbitMQ node from the system's own binaries, and asks a
// broker for its version.
//
// A node is the Erlang VM plus epmd, the daemon through which nodes find one another. Left alone
// the VM would start an epmd that outlives it and serves the whole machine; here epmd is a child
// like any other, with a port of its own. Node name, cookie, data, logs and all ports belong to
// the stack, so that nodes of several checkouts, and the system's own, do not meet.
package rabbitmq
