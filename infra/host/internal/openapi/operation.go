package openapi

import (
	"go/constant"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"encore.app/infra/host/internal/app"
	"encore.app/infra/host/internal/directive"
)

func (d *document) operation(e *app.Endpoint, method string) object {
	op := object{"tags": []string{e.Service.Name}, "x-encore-access": string(e.Access)}
	if e.Doc != "" {
		doc := prose(e.Name, e.Doc)
		op["summary"], op["description"] = summary(doc), doc
	}
	if len(e.Tags) > 0 {
		op["x-encore-tags"] = e.Tags
	}
	op["security"] = []object{}
	if e.Access == directive.Auth {
		var schemes []object
		for _, name := range schemeNames(d.app) {
			schemes = append(schemes, object{name: []string{}})
		}
		op["security"] = schemes
	}
	params := d.pathParams(e)
	more, body := d.request(e, method)
	params = append(params, more...)
	params = append(params, d.house.params(e, method, params)...)
	if form := d.house.form(e, method); form != nil {
		body = form
	}
	if body != nil {
		op["requestBody"] = body
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	op["responses"] = d.responses(e, method, body != nil)
	return op
}

// prose is a doc comment without the Go name that it begins with: "Foo makes a bar" becomes "Makes a
// bar", "Foo is a bar" becomes "A bar".
func prose(name, doc string) string {
	rest, ok := strings.CutPrefix(doc, name+" ")
	if !ok {
		return doc
	}
	for _, verb := range []string{"is ", "are "} {
		rest = strings.TrimPrefix(rest, verb)
	}
	first, size := utf8.DecodeRuneInString(rest)
	return string(unicode.ToUpper(first)) + rest[size:]
}

// summary is the first sentence of a doc comment.
func summary(doc string) string {
	first, _, _ := strings.Cut(doc, "\n\n")
	first = strings.Join(strings.Fields(first), " ")
	if sentence, _, more := strings.Cut(first, ". "); more {
		first = sentence + "."
	}
	return first
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
	d.schemas.answering = false
	var inBody []*app.Field
	for _, f := range e.Request.Fields {
		where, name := f.Place(method)
		switch {
		case name == "":
		case where == app.Default:
			inBody = append(inBody, f)
		default:
			params = append(params, d.param(f, where, name))
		}
	}
	if len(inBody) == 0 {
		return params, nil
	}
	schema := d.payload(e.Request, inBody)
	return params, object{"required": true, "content": object{"application/json": object{"schema": schema}}}
}

func (d *document) param(f *app.Field, where app.Where, name string) object {
	if shared := d.house.param(where, name); shared != nil {
		return shared
	}
	in := "query"
	if where == app.Header {
		in = "header"
	}
	tag := f.Tag.Get("schema")
	p := object{"name": name, "in": in, "schema": d.schemas.tagged(d.schemas.of(given(f.Type)), tag)}
	if tagRequires(tag) {
		p["required"] = true
	}
	if doc := d.app.FieldDoc(f.Pos); doc != "" {
		p["description"] = doc
	}
	return p
}

// payload is the schema of what a payload has in the body: a component if that is all of it.
func (d *document) payload(p *app.Payload, inBody []*app.Field) any {
	whole := !slices.ContainsFunc(p.Fields, func(f *app.Field) bool {
		return f.JSONName != "" && !slices.Contains(inBody, f) && !(f.Where == app.Header && (f.OmitEmpty || f.Tag.Get("json") == ""))
	})
	if whole {
		return d.schemas.of(p.Type)
	}
	fields := make([]jsonField, len(inBody))
	for i, f := range inBody {
		fields[i] = jsonField{name: f.JSONName, typ: f.Type, pos: f.Pos, optional: f.Optional || f.OmitEmpty, schema: f.Tag.Get("schema")}
	}
	return d.schemas.object(fields)
}

func (d *document) responses(e *app.Endpoint, method string, hasBody bool) object {
	out := d.house.failuresOf(e, method, hasBody)
	if out == nil {
		out = object{"default": object{
			"description": "Refused or failed; details.reason says why.",
			"content":     object{"application/json": object{"schema": ref("Error")}},
		}}
	}
	if e.Raw {
		d.rawSuccess(e, out)
		return out
	}
	d.schemas.answering = true
	ok := object{"description": "Success."}
	headers := d.house.successHeaders(e, method)
	statuses := []int{http.StatusOK}
	if e.Response != nil {
		var inBody []*app.Field
		for _, f := range e.Response.Fields {
			switch {
			case f.Where == app.Status:
				statuses = d.statuses(e)
			case f.Where == app.Header:
				headers[f.Wire] = described(object{"schema": d.schemas.of(f.Type)}, d.app.FieldDoc(f.Pos))
			case f.JSONName != "":
				inBody = append(inBody, f)
			}
		}
		ok["content"] = object{"application/json": object{"schema": d.payload(e.Response, inBody)}}
	}
	if len(headers) > 0 {
		ok["headers"] = headers
	}
	for _, status := range statuses {
		out[strconv.Itoa(status)] = ok
	}
	return out
}

// statuses are those of the constants http.Status… that the endpoint's code names for its answers.
func (d *document) statuses(e *app.Endpoint) []int {
	var out []int
	for _, c := range d.app.Reach(e).Constants {
		if c.Pkg() == nil || c.Pkg().Path() != "net/http" || !strings.HasPrefix(c.Name(), "Status") {
			continue
		}
		if n, exact := constant.Int64Val(c.Val()); exact && !slices.Contains(out, int(n)) {
			out = append(out, int(n))
		}
	}
	if len(out) == 0 {
		out = []int{http.StatusOK}
	}
	return out
}

var mediaType = regexp.MustCompile(`^(application|text)/[a-z0-9.+-]+(; ?[a-z]+=[a-zA-Z0-9.-]+)*$`)

// rawSuccess describes what an endpoint writes itself, as far as its code names it.
func (d *document) rawSuccess(e *app.Endpoint, out object) {
	content := object{}
	for _, text := range d.app.Reach(e).Strings {
		if kind, _, _ := strings.Cut(text, ";"); mediaType.MatchString(text) && kind != "application/json" {
			content[kind] = object{}
		}
	}
	ok := object{"description": "Written by the endpoint itself."}
	if len(content) > 0 {
		ok["content"] = content
	}
	out["2XX"] = ok
}
