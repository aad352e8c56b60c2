package openapi

import (
	"net/http"
	"strings"

	"encore.app/infra/host/internal/app"
)

// context are headers that an auth handler may want to see but that prove nothing.
var context = map[string]bool{
	"X-Request-Id": true, "X-Correlation-Id": true, "Traceparent": true, "Tracestate": true, "User-Agent": true,
	"Forwarded": true, "X-Forwarded-For": true, "X-Real-Ip": true, "Origin": true, "Referer": true,
}

// credentials are the auth handler's parameters that can authenticate a caller.
func credentials(a *app.App) []*app.Field {
	var out []*app.Field
	for _, f := range a.Auth.Params.Fields {
		if f.Where != app.Header || !context[http.CanonicalHeaderKey(f.Wire)] {
			out = append(out, f)
		}
	}
	return out
}

// schemeNames are the names of the ways to pass the auth handler, in order.
func schemeNames(a *app.App) []string {
	if a.Auth == nil {
		return nil
	}
	if a.Auth.Params == nil {
		return []string{"bearer"}
	}
	var names []string
	for _, f := range credentials(a) {
		names = append(names, schemeName(f))
	}
	return names
}

func schemeName(f *app.Field) string {
	if f.Where == app.Header && strings.EqualFold(f.Wire, "Authorization") {
		return "bearer"
	}
	return f.Name
}

func securitySchemes(a *app.App) object {
	out := object{}
	if a.Auth == nil {
		return out
	}
	if a.Auth.Params == nil {
		out["bearer"] = object{"type": "http", "scheme": "bearer"}
		return out
	}
	in := map[app.Where]string{app.Header: "header", app.Query: "query", app.Cookie: "cookie"}
	for _, f := range credentials(a) {
		if name := schemeName(f); name == "bearer" {
			out[name] = object{"type": "http", "scheme": "bearer"}
		} else {
			out[name] = object{"type": "apiKey", "in": in[f.Where], "name": f.Wire}
		}
	}
	return out
}
