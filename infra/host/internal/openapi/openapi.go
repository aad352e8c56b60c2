// Package openapi describes an app's exposed endpoints as an OpenAPI 3.1
// document.
package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/types"
	"net/http"
	"slices"
	"strings"

	"encore.app/infra/host/internal/app"
	"encore.app/infra/host/internal/directive"
)

// Version is the OpenAPI version of the documents.
const Version = "3.1.0"

// Audiences are the namespaces that a document can be limited to: the path segment after
// /api/vN. Endpoints in none of them belong to every audience.
var Audiences = []string{"admin", "org", "app"}

// Options limit and name a document.
type Options struct {
	Audience string // one of Audiences, "" or "all"
	Title    string // "": the app's id, or its module
	Version  string // of the API; "": "0"
}

// object is a JSON object; encoding sorts its keys, which keeps documents comparable.
type object = map[string]any

// Document makes the OpenAPI document of a.
func Document(a *app.App, o Options) ([]byte, error) {
	if o.Audience != "" && o.Audience != "all" && !slices.Contains(Audiences, o.Audience) {
		return nil, fmt.Errorf("unknown audience %q; use %s or all", o.Audience, strings.Join(Audiences, ", "))
	}
	if o.Title == "" {
		if o.Title = a.Manifest.ID; o.Title == "" {
			o.Title = a.Module()
		}
	}
	if o.Version == "" {
		o.Version = "0"
	}
	d := &document{app: a, schemas: newSchemas(a), paths: map[string]object{}}
	var tags []any
	for _, s := range a.Services {
		used := false
		for _, e := range s.Endpoints {
			if e.Access != directive.Private && inAudience(e, o.Audience) {
				d.endpoint(e)
				used = true
			}
		}
		if used {
			tag := object{"name": s.Name}
			if s.Doc != "" {
				tag["description"] = s.Doc
			}
			tags = append(tags, tag)
		}
	}
	d.schemas.components["Error"] = errorSchema
	components := object{"schemas": d.schemas.components}
	if schemes := securitySchemes(a); len(schemes) > 0 {
		components["securitySchemes"] = schemes
	}
	doc := object{
		"openapi":    Version,
		"info":       object{"title": o.Title, "version": o.Version},
		"paths":      d.paths,
		"components": components,
	}
	if len(tags) > 0 {
		doc["tags"] = tags
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(doc)
	return b.Bytes(), err
}

func inAudience(e *app.Endpoint, audience string) bool {
	if audience == "" || audience == "all" {
		return true
	}
	if len(e.Path) < 3 || e.Path[0].Name != "api" || !slices.Contains(Audiences, e.Path[2].Name) {
		return true
	}
	return e.Path[2].Name == audience
}

// document is one under construction.
type document struct {
	app     *app.App
	schemas *schemas
	paths   map[string]object
}

// everyMethod stands for method=*; OpenAPI cannot say "any".
var everyMethod = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}

func (d *document) endpoint(e *app.Endpoint) {
	path := e.Path.Template()
	item := d.paths[path]
	if item == nil {
		item = object{}
		d.paths[path] = item
	}
	methods := e.Methods
	if slices.Contains(methods, "*") {
		methods = everyMethod
	}
	for i, m := range methods {
		if m == http.MethodConnect {
			continue // has no place in OpenAPI
		}
		op := d.operation(e, m)
		op["operationId"] = e.Service.Name + "." + e.Name
		if i > 0 {
			op["operationId"] = e.Service.Name + "." + e.Name + "." + strings.ToLower(m)
		}
		item[strings.ToLower(m)] = op
	}
}

func (d *document) operation(e *app.Endpoint, method string) object {
	op := object{"tags": []string{e.Service.Name}, "x-encore-access": string(e.Access)}
	if e.Doc != "" {
		summary, _, _ := strings.Cut(e.Doc, "\n\n")
		summary = strings.Join(strings.Fields(summary), " ")
		if first, _, more := strings.Cut(summary, ". "); more {
			summary = first + "."
		}
		op["summary"], op["description"] = summary, e.Doc
	}
	if len(e.Tags) > 0 {
		op["x-encore-tags"] = e.Tags
	}
	if e.Access == directive.Auth {
		var schemes []object
		for _, name := range schemeNames(d.app) {
			schemes = append(schemes, object{name: []string{}})
		}
		op["security"] = schemes
	}
	params := d.pathParams(e)
	if e.Raw {
		op["responses"] = object{"default": object{"description": "Written by the endpoint itself."}}
	} else {
		more, body := d.request(e, method)
		params = append(params, more...)
		if body != nil {
			op["requestBody"] = body
		}
		op["responses"] = d.responses(e)
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	return op
}

func (d *document) pathParams(e *app.Endpoint) []any {
	var out []any
	for _, p := range e.PathParams {
		out = append(out, object{"name": p.Name, "in": "path", "required": true, "schema": kindSchema(p.Kind)})
	}
	return out
}

// request splits the request struct into parameters and a body.
func (d *document) request(e *app.Endpoint, method string) (params []any, body object) {
	if e.Request == nil {
		return nil, nil
	}
	var inBody []*app.Field
	for _, f := range e.Request.Fields {
		where, name := f.Place(method)
		if name == "" {
			continue
		}
		if where == app.Default {
			inBody = append(inBody, f)
			continue
		}
		in := "query"
		if where == app.Header {
			in = "header"
		}
		p := object{"name": name, "in": in, "schema": d.schemas.of(given(f.Type))}
		if doc := d.app.FieldDoc(f.Pos); doc != "" {
			p["description"] = doc
		}
		params = append(params, p)
	}
	if len(inBody) == 0 {
		return params, nil
	}
	schema := d.payload(e.Request, inBody)
	return params, object{"required": true, "content": object{"application/json": object{"schema": schema}}}
}

// given is a parameter's type when it is there at all: without the option.Option around it.
func given(t types.Type) types.Type {
	if n, ok := types.Unalias(t).(*types.Named); ok && mayBeNull(n) {
		return n.TypeArgs().At(0)
	}
	return t
}

// payload is the schema of what a payload has in the body: a component if that is all of it.
func (d *document) payload(p *app.Payload, inBody []*app.Field) any {
	all := 0
	for _, f := range p.Fields {
		if f.JSONName != "" {
			all++
		}
	}
	if len(inBody) == all {
		return d.schemas.of(p.Type)
	}
	fields := make([]jsonField, len(inBody))
	for i, f := range inBody {
		fields[i] = jsonField{name: f.JSONName, typ: f.Type, pos: f.Pos, optional: f.Optional || f.OmitEmpty}
	}
	return d.schemas.object(fields)
}

func (d *document) responses(e *app.Endpoint) object {
	ok := object{"description": "Success."}
	status := "200"
	if e.Response != nil {
		headers := object{}
		var inBody []*app.Field
		for _, f := range e.Response.Fields {
			switch {
			case f.Where == app.Status:
				status = "2XX" // the handler chooses
			case f.Where == app.Header:
				headers[f.Wire] = object{"schema": d.schemas.of(f.Type)}
			case f.JSONName != "":
				inBody = append(inBody, f)
			}
		}
		ok["content"] = object{"application/json": object{"schema": d.payload(e.Response, inBody)}}
		if len(headers) > 0 {
			ok["headers"] = headers
		}
	}
	return object{
		status: ok,
		"default": object{
			"description": "Refused or failed; details.reason says why.",
			"content":     object{"application/json": object{"schema": ref("Error")}},
		},
	}
}

// errorSchema is the one shape of every error.
var errorSchema = object{
	"type":     "object",
	"required": []string{"code", "message"},
	"properties": object{
		"code":    object{"type": "string"},
		"message": object{"type": "string"},
		"details": object{
			"type": []string{"object", "null"},
			"properties": object{
				"reason":     object{"type": "string"},
				"request_id": object{"type": "string"},
			},
		},
	},
}
