package openapi

import (
	"bytes"
	"encoding/json"
	"maps"
)

// sharedComponents are the parameters, headers and responses that endpoints refer to, and the shape
// of every error.
func (d *document) sharedComponents() object {
	if d.house == nil {
		d.schemas.components["Error"] = plainError
		return object{}
	}
	d.schemas.components["Error"] = d.house.errorSchema(d.schemas)
	key := object{
		"name": "Idempotency-Key", "in": "header",
		"description": "Makes a repeat of this write safe: it gets the first answer. The same key with another body is refused.",
		"schema":      object{"type": "string", "minLength": 1, "maxLength": d.house.maxKey, "pattern": "^[ -~]+$"},
	}
	required := maps.Clone(key)
	required["required"] = true
	responses := object{}
	for name, r := range d.house.shared {
		responses[name] = r
	}
	parameters := object{
		"Idempotency-Key": key, "Required-Idempotency-Key": required,
		"limit": object{"name": "limit", "in": "query", "description": "How many items a page has.", "schema": d.house.limits},
		"cursor": object{
			"name": "cursor", "in": "query", "description": "next_cursor of the page before; none for the first page.",
			"schema": object{"type": "string"},
		},
		"If-Match": object{
			"name": "If-Match", "in": "header",
			"description": "The ETag that a read answered, or *. The write is refused with 412 if somebody changed the resource since; without it any version will do.",
			"schema":      object{"type": "string", "pattern": `^(\*|(W/)?"[!#-~]*")$`},
		},
	}
	responses = referred("responses", responses, d.paths)
	return object{
		"responses":  responses,
		"headers":    referred("headers", sharedHeaders, d.paths, responses),
		"parameters": referred("parameters", parameters, d.paths),
	}
}

// referred are those of the shared components that something refers to.
func referred(kind string, all object, from ...any) object {
	text, err := json.Marshal(from)
	if err != nil {
		panic(err) // documents are maps, lists and texts
	}
	out := object{}
	for name, component := range all {
		if bytes.Contains(text, []byte(`"#/components/`+kind+"/"+name+`"`)) {
			out[name] = component
		}
	}
	return out
}

var sharedHeaders = object{
	"X-Request-ID":         object{"description": "Names this request in logs and in the audit log.", "schema": object{"type": "string"}},
	"RateLimit-Policy":     object{"description": "The limits that count this call (draft-ietf-httpapi-ratelimit-headers).", "schema": object{"type": "string"}},
	"RateLimit":            object{"description": "What is left of them.", "schema": object{"type": "string"}},
	"Retry-After":          object{"description": "Seconds until a call may succeed.", "schema": object{"type": "integer"}},
	"Idempotency-Replayed": object{"description": "true: this is the answer that the key's first request got.", "schema": object{"type": "string", "enum": []string{"true"}}},
}
