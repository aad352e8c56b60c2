package pdp

import (
	"context"
	"errors"
	"slices"

	"encore.app/authz/filter"
	"encore.app/authz/principal"
)

// Errors that are no decision. Nothing may be let through on any of them.
var (
	// ErrUnavailable: the decision point did not answer in time.
	ErrUnavailable = errors.New("policy decision point unavailable")
	// ErrInvalid: the request does not fit the schemas; a bug of the caller.
	ErrInvalid = errors.New("request does not fit the policy schemas")
	// ErrUnmatched: no policy covers the resource kind; usually policies and
	// application of different releases.
	ErrUnmatched = errors.New("no policy for the resource kind")
	// ErrUnsafe: the decision point runs without a setting that the policies rely on.
	ErrUnsafe = errors.New("policy decision point is configured unsafely")
)

// Decider decides what a principal may do.
type Decider interface {
	Check(ctx context.Context, p *principal.Principal, r Resource, action string) (Decision, error)
	CheckAll(ctx context.Context, p *principal.Principal, queries []Query) ([]map[string]Decision, error)
	Plan(ctx context.Context, p *principal.Principal, action, kind string, known map[string]any) (*filter.Plan, error)
}

// Resource is what an action is done to. ID may be empty for one that does not
// exist yet.
type Resource struct {
	Kind string
	ID   string
	Attr map[string]any
}

// Query asks for several actions on one resource.
type Query struct {
	Resource Resource
	Actions  []string
}

// Decision is an answer of the decision point.
type Decision struct {
	ID            string // the decision point's own id of the call, as its log has it
	Allowed       bool
	PolicyVersion string   // the digest of the policies that decided
	Reasons       []string // why not, most telling first; empty when allowed
	Policy        string   // the policy that decided
	Rules         []string // the guardrails that spoke, as the decision point names them
	DerivedRoles  []string // what the caller's roles came to for this resource
	Cached        string   // the layer that remembered it; "" when the decision point was asked
	// Asked is the question, for whoever records the decision.
	Asked *Asked
}

// Asked is a question that was decided.
type Asked struct {
	Principal *principal.Principal
	Resource  Resource
	Action    string
}

// The layers that remember.
const (
	LayerMemory = "memory"
	LayerRedis  = "redis"
)

// ReasonDenied is the reason of a denial for which no guardrail gave a better one.
const ReasonDenied = "policy_denied"

// precedence orders reasons from "not yours at all" to "not like this". A reason
// that tells least about the resource comes first.
var precedence = []string{
	"not_a_member",
	"wrong_audience",
	"org_suspended",
	"impersonation_readonly",
	"upgrade_required",
	"mfa_required",
	ReasonDenied,
}

// ordered removes repeats (a guardrail for all roles reports once per role of the
// caller) and sorts by precedence. Reasons unknown here come last. The decision
// point stops at the first denial of a role, so policies keep this order too.
func ordered(reasons []string) []string {
	if len(reasons) == 0 {
		return []string{ReasonDenied}
	}
	rank := func(r string) int {
		if i := slices.Index(precedence, r); i >= 0 {
			return i
		}
		return len(precedence)
	}
	out := slices.Clone(reasons)
	slices.Sort(out)
	out = slices.Compact(out)
	slices.SortStableFunc(out, func(a, b string) int { return rank(a) - rank(b) })
	return out
}

// What a decision comes to.
const (
	Allow = "allow"
	Deny  = "deny"
)
