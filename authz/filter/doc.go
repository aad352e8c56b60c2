// Package filter turns the query plan of a policy decision into a predicate
// that Postgres evaluates, so that a list holds exactly the rows its caller may
// read and no row is fetched only to be refused.
//
// It translates and, or, not, comparisons, in, hasIntersection, exists and all,
// startsWith, endsWith and contains, size, timestamp, sums and products, and a map
// of the caller's looked up by a column. It refuses the rest with a typed error:
// has (plans as always true), matches (another dialect of patterns), casts, mod,
// conditionals, filter, map, except, exists_one and hierarchies. The policies' own
// tests translate the plan of every action for every role, so a refusal shows up
// there and not in production. Three rules keep the translation from ever granting more than
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
