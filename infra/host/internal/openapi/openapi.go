// Package openapi describes an app's exposed endpoints as an OpenAPI 3.1
// document.
package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"encore.app/infra/host/internal/app"
	"encore.app/infra/host/internal/directive"
)

// Version is the OpenAPI version of the documents.
const Version = "3.1.0"

// Audiences are the namespaces that a document can be limited to: the path segment after /api/vN.
// What else is below /api or /.well-known belongs to every audience; probes, webhooks and the like
// are in the whole document alone.
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
	d := &document{app: a, schemas: newSchemas(a), paths: map[string]object{}, house: houseOf(a)}
	info := object{"title": o.Title, "version": o.Version}
	if d.house != nil {
		info["description"] = houseRules
	}
	doc := object{"openapi": Version, "info": info, "servers": []object{{"url": "/"}}, "paths": d.paths}
	if tags := d.endpoints(o.Audience); len(tags) > 0 {
		doc["tags"] = tags
	}
	components := d.sharedComponents()
	components["schemas"] = d.schemas.components
	if schemes := securitySchemes(a); len(schemes) > 0 {
		components["securitySchemes"] = schemes
	}
	doc["components"] = components
	if d.schemas.err != nil {
		return nil, d.schemas.err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(doc)
	return b.Bytes(), err
}

// inAudience says whether e belongs in the document of audience.
func inAudience(e *app.Endpoint, audience string) bool {
	if audience == "" || audience == "all" {
		return true
	}
	if e.Path[0].Name != "api" {
		return e.Path[0].Name == ".well-known"
	}
	return len(e.Path) < 3 || !slices.Contains(Audiences, e.Path[2].Name) || e.Path[2].Name == audience
}

// document is one under construction.
type document struct {
	app     *app.App
	schemas *schemas
	paths   map[string]object
	house   *house // nil for an app that has none of its conventions
}

// endpoints describes every exposed endpoint of an audience and returns their services.
func (d *document) endpoints(audience string) []any {
	var tags []any
	for _, s := range d.app.Services {
		used := false
		for _, e := range s.Endpoints {
			if e.Access != directive.Private && inAudience(e, audience) {
				d.endpoint(e)
				used = true
			}
		}
		if !used {
			continue
		}
		tag := object{"name": s.Name}
		if s.Doc != "" {
			tag["description"] = s.Doc
		}
		tags = append(tags, tag)
	}
	return tags
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
