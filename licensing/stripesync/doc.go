// Package stripesync keeps licences true to Stripe.
//
// A webhook only says that something about a customer changed: its event id is stored, the customer
// is marked dirty, and that is all ([Queue.Receive]). A [Worker] claims dirty customers, asks Stripe
// for their state as it is now, and applies it. What a webhook carries is never believed, so
// duplicates, reordering and lost deliveries all end in the same state; a nightly reconciliation
// marks every customer dirty, so that even a webhook that never came costs a day at most.
//
// # Why nothing is lost and nothing old wins
//
// Every mark raises the customer's generation. A worker leaves the mark in place unless the generation
// is still the one it claimed, so a change during its work is looked at again. A claim is a lease:
// when a worker dies, another takes over once it has run out; the late one finds that the lease is
// no longer its own and applies nothing.
package stripesync
