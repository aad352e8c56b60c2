package audit

import (
	"encoding/json"
	"slices"
)

// shown are the names of values that say what a message is about and nothing of a person. What has
// another name is left out, whatever it is.
var shown = []string{
	"id", "org_id", "sink_id", "event_id", "user_id", "team_id", "occurred_at", "kind", "type", "action", "outcome",
	"request_id", "decision_id", "policy_version", "seq", "lease", "attempt", "status", "tier", "version",
}

const hidden = "[redacted]"

// redact leaves of a body its structure and the values that operators need.
func redact(body json.RawMessage) json.RawMessage {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return json.RawMessage("null")
	}
	out, err := json.Marshal(redacted("", v))
	if err != nil {
		return json.RawMessage("null")
	}
	return out
}

func redacted(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, inner := range v {
			out[k] = redacted(k, inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = redacted(name, inner)
		}
		return out
	case nil:
		return nil
	}
	if slices.Contains(shown, name) {
		return v
	}
	return hidden
}
