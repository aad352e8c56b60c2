// Package pdp asks the policy decision point (Cerbos) and says what it answered.
//
// A [Client] is one connection to it. It fails closed and loudly: a decision
// point that cannot be reached, a request that does not fit the policies'
// schemas and a kind without a policy are three different errors, and none of
// them is a denial. A denial always carries at least one reason.
//
// [Decider] is what the rest of the application depends on. [NewCached] puts an
// in-process cache in front of one, with one shared flight for equal questions.
//
// Ready proves two settings that are off by default, and that a configuration
// with a misspelled section loses without a word: strict evaluation, without
// which a guardrail whose condition fails is skipped, and schemas. It asks two
// questions about the resource kind "canary" that have the right answer only
// with both switched on.
package pdp
