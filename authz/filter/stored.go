package filter

import (
	"encoding/json"
	"fmt"

	enginev1 "github.com/cerbos/cerbos/api/genpb/cerbos/engine/v1"
	"google.golang.org/protobuf/proto"
)

// stored is a Plan as a cache keeps it.
type stored struct {
	DecisionID    string `json:"id"`
	PolicyVersion string `json:"v"`
	Kind          kind   `json:"k"`
	Condition     []byte `json:"c,omitempty"` // protobuf
}

// From is the plan as a layer remembered it.
func (p *Plan) From(layer string) *Plan {
	out := *p
	out.Cached = layer
	return &out
}

// MarshalJSON is the plan for a cache.
func (p *Plan) MarshalJSON() ([]byte, error) {
	s := stored{DecisionID: p.DecisionID, PolicyVersion: p.PolicyVersion, Kind: p.kind}
	if p.condition != nil {
		var err error
		if s.Condition, err = proto.Marshal(p.condition); err != nil {
			return nil, fmt.Errorf("filter: %w", err)
		}
	}
	return json.Marshal(s)
}

// UnmarshalJSON reads what MarshalJSON wrote. Anything else denies and is an error.
func (p *Plan) UnmarshalJSON(text []byte) error {
	*p = Plan{}
	var s stored
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	read := Plan{DecisionID: s.DecisionID, PolicyVersion: s.PolicyVersion, kind: s.Kind}
	switch s.Kind {
	case denied, allowed:
	case conditional:
		read.condition = new(enginev1.PlanResourcesFilter_Expression_Operand)
		if err := proto.Unmarshal(s.Condition, read.condition); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
		if read.condition.GetNode() == nil {
			return &UnsupportedError{Operator: "plan", Detail: "conditional without a condition"}
		}
	default:
		return &UnsupportedError{Operator: "plan", Detail: "unknown kind"}
	}
	*p = read
	return nil
}
