package openapi

import (
	"go/constant"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"encore.app/infra/host/internal/app"
	"encore.app/infra/host/internal/directive"
)

// house is what the endpoints of an app have in common beyond Encore: it is read from the packages
// in which the app keeps it, and an app without a package fault has none of it.
type house struct {
	app     *app.App
	reasons reasons
	keyed   string // the service whose writes must carry an idempotency key
	maxKey  int64
	limits  object            // of a page
	shared  map[string]object // failures that endpoints refer to, by name
}

// Where the app keeps its conventions.
const (
	faultPackage       = "infra/platform/fault"
	pagePackage        = "infra/platform/page"
	gatewayPackage     = "infra/edge/gateway"
	idempotencyPackage = "infra/edge/idempotency"
)

// houseRules introduce the document.
const houseRules = `Ids are UUIDs, times RFC 3339 in UTC.

A list takes limit and cursor and answers items and next_cursor, which is "" on the last page.

An error is code, message and details; details.reason is a stable word to switch on. A resource of
another organisation answers like one that does not exist.

A write under /api/v1 may carry an Idempotency-Key: for 24 hours a repeat gets the first answer, with
Idempotency-Replayed. A read answers ETag where a write takes If-Match.

Every answer carries X-Request-ID and, below /api/v1, RateLimit and RateLimit-Policy.`

func houseOf(a *app.App) *house {
	if a.Below(faultPackage) == nil {
		return nil
	}
	h := &house{app: a, reasons: reasonsOf(a), keyed: "", maxKey: 255, limits: object{"type": "integer", "minimum": 1}}
	if c := constantOf(a, gatewayPackage, "keysRequired"); c != nil {
		h.keyed = constant.StringVal(c)
	}
	if c := constantOf(a, idempotencyPackage, "maxKey"); c != nil {
		h.maxKey, _ = constant.Int64Val(c)
	}
	for keyword, name := range map[string]string{"default": "DefaultLimit", "maximum": "MaxLimit"} {
		if c := constantOf(a, pagePackage, name); c != nil {
			h.limits[keyword], _ = constant.Int64Val(c)
		}
	}
	h.shared = map[string]object{}
	for status, words := range everywhere {
		h.shared[failureName(status)] = failure(status, words)
	}
	return h
}

// constantOf is the value of a package-level constant of the app, or nil.
func constantOf(a *app.App, pkg, name string) constant.Value {
	if p := a.Below(pkg); p != nil {
		if c, ok := p.Types.Scope().Lookup(name).(interface{ Val() constant.Value }); ok {
			return c.Val()
		}
	}
	return nil
}

// api says that e is one of those that the gateway treats alike.
func (h *house) api(e *app.Endpoint) bool {
	return h != nil && e.Path[0].Name == "api" && e.Access == directive.Auth
}

func isWrite(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// param is the shared description of a parameter that many endpoints take; nil if it is not one.
func (h *house) param(where app.Where, name string) object {
	switch {
	case h == nil:
	case where == app.Query && (name == "limit" || name == "cursor"),
		where == app.Header && (name == "If-Match" || name == "Idempotency-Key"):
		return paramRef(name)
	}
	return nil
}

func paramRef(name string) object { return object{"$ref": "#/components/parameters/" + name} }

// params are those that an endpoint takes and does not name: its idempotency key, and what a raw one
// reads from the query.
func (h *house) params(e *app.Endpoint, method string, named []any) []any {
	var out []any
	if e.Raw {
		if isWrite(method) {
			return nil
		}
		for _, name := range h.queries(e) {
			out = append(out, object{"name": name, "in": "query", "schema": object{"type": "string"}})
		}
		return out
	}
	if !h.api(e) || !isWrite(method) {
		return nil
	}
	name := "Idempotency-Key"
	if e.Service.Name == h.keyed {
		name = "Required-Idempotency-Key"
	}
	for i, p := range named {
		if p.(object)["$ref"] == paramRef("Idempotency-Key")["$ref"] {
			named[i] = paramRef(name)
			return nil
		}
	}
	return []any{paramRef(name)}
}

// form is the body of a raw endpoint that reads values from a form.
func (h *house) form(e *app.Endpoint, method string) object {
	names := h.queries(e)
	if !e.Raw || !isWrite(method) || len(names) == 0 {
		return nil
	}
	properties := object{}
	for _, name := range names {
		properties[name] = object{"type": "string"}
	}
	schema := object{"type": "object", "properties": properties, "required": names}
	return object{"required": true, "content": object{"application/x-www-form-urlencoded": object{"schema": schema}}}
}

func (h *house) queries(e *app.Endpoint) []string {
	if h == nil {
		return nil
	}
	return h.app.Reach(e).Queries
}

func (h *house) successHeaders(e *app.Endpoint, method string) object {
	out := object{}
	if !h.api(e) {
		return out
	}
	for _, name := range []string{"X-Request-ID", "RateLimit", "RateLimit-Policy"} {
		out[name] = headerRef(name)
	}
	if isWrite(method) {
		out["Idempotency-Replayed"] = headerRef("Idempotency-Replayed")
	}
	return out
}

func headerRef(name string) object { return object{"$ref": "#/components/headers/" + name} }

// failuresOf are the errors that an endpoint can answer: those of every endpoint like it, and those
// whose reasons its comment names. nil if nothing is known.
func (h *house) failuresOf(e *app.Endpoint, method string, hasBody bool) object {
	if !h.api(e) && !(h != nil && e.Raw) {
		return nil
	}
	statuses := map[int][]string{http.StatusInternalServerError: everywhere[http.StatusInternalServerError]}
	add := func(status int) { statuses[status] = everywhere[status] }
	if h.api(e) {
		for _, status := range []int{401, 403, 429, 503, 504} {
			add(status)
		}
		if e.Request != nil || len(e.PathParams) > 0 || isWrite(method) || len(h.queries(e)) > 0 {
			add(http.StatusBadRequest)
		}
		if len(e.PathParams) > 0 {
			add(http.StatusNotFound)
		}
		if hasBody {
			add(http.StatusRequestEntityTooLarge)
		}
		if isWrite(method) && !e.Raw {
			add(http.StatusConflict)
			add(http.StatusUnprocessableEntity)
		}
		if takesIfMatch(e) {
			add(http.StatusPreconditionFailed)
		}
	}
	named := h.reasons.named(e)
	for _, reason := range slices.Sorted(maps.Keys(named)) {
		for _, status := range named[reason] {
			if !slices.Contains(statuses[status], reason) {
				statuses[status] = append(slices.Clone(statuses[status]), reason)
			}
		}
	}
	if e.Service.Name == h.keyed && isWrite(method) && h.api(e) {
		statuses[http.StatusBadRequest] = append(slices.Clone(statuses[http.StatusBadRequest]), "idempotency_key_required")
	}
	out := object{}
	for status, words := range statuses {
		if slices.Equal(words, everywhere[status]) {
			out[strconv.Itoa(status)] = object{"$ref": "#/components/responses/" + failureName(status)}
		} else {
			out[strconv.Itoa(status)] = failure(status, words)
		}
	}
	return out
}

func takesIfMatch(e *app.Endpoint) bool {
	return e.Request != nil && slices.ContainsFunc(e.Request.Fields, func(f *app.Field) bool { return f.Wire == "If-Match" })
}

// everywhere are the reasons that an endpoint may answer a status with whatever it is about.
var everywhere = map[int][]string{
	400: {"validation_failed"},
	401: {"unauthenticated", "token_expired", "token_malformed", "token_type", "token_revoked", "bad_signature", "wrong_issuer", "wrong_audience"},
	403: {"wrong_audience", "not_a_member", "org_suspended", "mfa_required", "policy_denied", "impersonation_readonly"},
	404: {"not_found"},
	409: {"idempotency_in_progress", "version_conflict"},
	412: {"version_conflict"},
	413: {"payload_too_large"},
	422: {"idempotency_key_reused"},
	429: {"rate_limited"},
	500: {"internal"},
	503: {"dependency_unavailable"},
	504: {"deadline_exceeded"},
}

func failureName(status int) string { return strings.ReplaceAll(http.StatusText(status), " ", "") }

func failure(status int, words []string) object {
	headers := object{"X-Request-ID": headerRef("X-Request-ID")}
	if status == http.StatusTooManyRequests {
		for _, name := range []string{"RateLimit", "RateLimit-Policy", "Retry-After"} {
			headers[name] = headerRef(name)
		}
	}
	return object{
		"description": http.StatusText(status) + ": " + strings.Join(words, ", ") + ".",
		"headers":     headers,
		"content":     object{"application/json": object{"schema": ref("Error")}},
	}
}
