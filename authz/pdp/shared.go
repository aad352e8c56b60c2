package pdp

import (
	"context"
	"encoding/json"
	"time"

	"encore.app/authz/filter"
)

// Shared is a cache that all replicas use. It answers in time or not at all: what it cannot say it
// does not know, and what it cannot keep it drops.
type Shared interface {
	// Load is the value of each key, nil where there is none.
	Load(ctx context.Context, keys []Key) [][]byte
	// Save keeps a value for a while. It does not wait.
	Save(k Key, value []byte, ttl time.Duration)
}

// mostShared bounds a value; a plan that names thousands of ids is asked for again instead.
const mostShared = 8 << 10

// stored is an entry as it is kept in a Shared.
type stored struct {
	ID            string          `json:"id"`
	Allowed       bool            `json:"ok,omitempty"`
	PolicyVersion string          `json:"v"`
	Reasons       []string        `json:"r,omitempty"`
	Policy        string          `json:"p,omitempty"`
	Rules         []string        `json:"u,omitempty"`
	DerivedRoles  []string        `json:"d,omitempty"`
	Plan          json.RawMessage `json:"plan,omitempty"`
	Until         int64           `json:"t"` // Unix milliseconds
}

func (e entry) encode() (text []byte, ok bool) {
	d := e.decision
	s := stored{ID: d.ID, Allowed: d.Allowed, PolicyVersion: d.PolicyVersion, Reasons: d.Reasons, Policy: d.Policy,
		Rules: d.Rules, DerivedRoles: d.DerivedRoles, Until: e.until.UnixMilli()}
	var err error
	if e.plan != nil {
		if s.Plan, err = e.plan.MarshalJSON(); err != nil {
			return nil, false
		}
	}
	text, err = json.Marshal(s)
	return text, err == nil && len(text) <= mostShared
}

// decode reads what encode wrote; what does not read as such is not known.
func decode(text []byte) (e entry, ok bool) {
	if len(text) == 0 || len(text) > mostShared {
		return entry{}, false
	}
	var s stored
	if err := json.Unmarshal(text, &s); err != nil || s.ID == "" && s.Plan == nil {
		return entry{}, false
	}
	e.until = time.UnixMilli(s.Until)
	if s.Plan != nil {
		e.plan = new(filter.Plan)
		return e, e.plan.UnmarshalJSON(s.Plan) == nil
	}
	e.decision = Decision{ID: s.ID, Allowed: s.Allowed, PolicyVersion: s.PolicyVersion, Reasons: s.Reasons,
		Policy: s.Policy, Rules: s.Rules, DerivedRoles: s.DerivedRoles}
	if e.decision.Reasons == nil {
		e.decision.Reasons = []string{}
	}
	return e, true
}
