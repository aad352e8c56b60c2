// Package filter turns the query plan of a policy decision into a predicate
// that Postgres evaluates, so that a list holds exactly the rows its caller may
// read and no row is fetched only to be refused.
//
// It translates the smallest set of operators that the policies use and refuses
// the rest with a typed error; a test in the policy engine's package plans every
// listable kind for every shape of caller, so a refusal shows up there and not
// in production. Three rules keep the translation from ever granting more than
// a check would:
//
//   - The zero [Plan], and a nil one, deny.
//   - An attribute without a [Column], an operand of another type than its
//     column, and anything left of the principal are errors.
//   - Negation is pushed down to the comparisons. No SQL NOT stands around an
//     expression that may be NULL for a reason other than the policy's own, so
//     NULL always means "not allowed".
//
// The predicate says nothing about tenants: callers add their own org_id
// predicate whatever the plan says.
package filter
