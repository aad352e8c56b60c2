// Package filter turns the query plan of a policy decision into a predicate
// that Postgres evaluates, so that a list holds exactly the rows its caller may
// read and no row is fetched only to be refused.
//
// It translates and, or, not, conditionals, comparisons of columns, literals
// and nulls, in, hasIntersection, isSubset, except and intersect, the macros
// exists, all, exists_one, filter and map, nested too, list literals and
// elements, startsWith, endsWith, contains, size, + of texts and lists,
// lowerAscii and upperAscii, arithmetic, int, double, timestamp and duration,
// the parts of a moment in UTC, isSet, and a map of the caller's looked up by
// a column.
//
// It refuses with a typed error what it cannot say faithfully:
//
//   - matches and hierarchies: another dialect, and none;
//   - has: Cerbos plans it as always true, so the linter bans it;
//   - arithmetic of an attribute and a whole number: every attribute is a double,
//     and the plan no longer tells 2, which fails in the policy, from 2.0;
//   - division by a column, times finer than a microsecond or in a time zone,
//     casts of texts, and whatever it does not know.
//
// The policies' own tests translate the plan of every action for every role, so a
// refusal shows up there and not in production. Three rules keep the translation
// from ever granting more than a check would:
//
//   - The zero [Plan], and a nil one, deny.
//   - An attribute without a [Column], an operand of another type than its
//     column, and anything left of the principal are errors.
//   - A predicate is TRUE exactly where the policy says true. What fails there, such
//     as reading what is missing, is NULL or FALSE, and negation is pushed down to the
//     comparisons, so that it never becomes TRUE.
//
// A test draws conditions at random and compares, row by row, what Postgres
// selects with what Cerbos decides; FILTER_FOR=10m lets it go on.
//
// The predicate says nothing about tenants: callers add their own org_id
// predicate whatever the plan says.
package filter
