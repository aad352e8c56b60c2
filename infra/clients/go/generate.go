package main

import (
	"encoding/json"
	"fmt"
	"go/format"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// module is the path of the module that is generated.
const module = "tenantry"

// generator writes one package.
type generator struct {
	document
	strings.Builder
	names map[string]string // component → Go name
}

// generate makes the client of one document.
func generate(pkg string, text []byte) ([]byte, error) {
	g := &generator{}
	if err := json.Unmarshal(text, &g.document); err != nil {
		return nil, err
	}
	delete(g.Components.Schemas, "Error") // is the runtime's
	g.names = shortNames(slices.Sorted(maps.Keys(g.Components.Schemas)))
	body := &strings.Builder{}
	g.operations(body)
	g.types(body)
	fmt.Fprintf(g, "// Code generated from the OpenAPI document; DO NOT EDIT.\n\n// Package %s is the client of %s.\npackage %s\n\n", pkg, g.Info.Title, pkg)
	fmt.Fprintf(g, "import (\n")
	for _, path := range []string{"context", "encoding/json", "io", "net/http", "net/url", "strconv", "time", module + "/client"} {
		if strings.Contains(body.String(), path[strings.LastIndex(path, "/")+1:]+".") {
			fmt.Fprintf(g, "%q\n", path)
		}
	}
	fmt.Fprintf(g, ")\n\n// Client calls the API.\ntype Client struct{ *client.Client }\n\n")
	fmt.Fprintf(g, "// New makes a client of the installation at base that shows one token.\n"+
		"func New(base, token string) *Client { return &Client{client.New(base, token)} }\n\n")
	g.WriteString(body.String())
	out, err := format.Source([]byte(g.String()))
	if err != nil {
		return nil, fmt.Errorf("%w in\n%s", err, g)
	}
	return out, nil
}

// shortNames are the names without their service, where that leaves them apart.
func shortNames(full []string) map[string]string {
	count := map[string]int{}
	for _, name := range full {
		count[name[strings.LastIndex(name, ".")+1:]]++
	}
	out := map[string]string{}
	for _, name := range full {
		short := name[strings.LastIndex(name, ".")+1:]
		if count[short] > 1 {
			short = exported(strings.ReplaceAll(name, ".", "_"))
		}
		out[name] = exported(short)
	}
	return out
}

func (g *generator) operations(b *strings.Builder) {
	type one struct {
		path, method string
		operation
	}
	var all []one
	var ids []string
	for path, item := range g.Paths {
		for method, op := range item {
			all = append(all, one{path, strings.ToUpper(method), op})
			ids = append(ids, op.OperationID)
		}
	}
	slices.SortFunc(all, func(a, b one) int { return strings.Compare(a.OperationID, b.OperationID) })
	names := shortNames(ids)
	for _, op := range all {
		g.method(b, names[op.OperationID], op.method, op.path, op.operation)
	}
}

// method writes one operation: its parameters' struct, if it has one, and the method.
func (g *generator) method(b *strings.Builder, name, method, path string, op operation) {
	args, query := []string{"ctx context.Context"}, []parameter{}
	keyed := false
	target := strconv.Quote(path)
	for _, p := range op.Parameters {
		switch p = g.parameter(p); {
		case p.In == "path":
			arg := unexported(p.Name)
			args = append(args, arg+" string")
			target = strings.Replace(target, "{"+p.Name+"}", `" + url.PathEscape(`+arg+`) + "`, 1)
		case p.In == "query":
			query = append(query, p)
		case p.Name == "Idempotency-Key":
			keyed = true
		}
	}
	target = strings.TrimSuffix(target, ` + ""`)
	call := fmt.Sprintf("client.Call{Method: %q, Path: %s", method, target)
	if len(query) > 0 {
		g.params(b, name, query)
		args = append(args, "params "+name+"Params")
		call += ", Query: params.query()"
	}
	if op.RequestBody != nil {
		if body, ok := op.RequestBody.Content["application/json"]; ok {
			args = append(args, "body "+g.typeOf(*body.Schema))
			call += ", Body: body"
		}
	}
	if keyed {
		call += ", Keyed: true"
	}
	call += "}"
	args = append(args, "opts ...client.Option")
	comment(b, name+": "+op.Description)
	signature := fmt.Sprintf("func (c *Client) %s(%s)", name, strings.Join(args, ", "))
	switch answer, stream := op.success(); {
	case stream:
		fmt.Fprintf(b, "%s (io.ReadCloser, error) {\nreturn c.Stream(ctx, %s, opts...)\n}\n\n", signature, call)
	case answer == nil:
		fmt.Fprintf(b, "%s error {\nreturn c.Do(ctx, %s, nil, opts...)\n}\n\n", signature, call)
	default:
		fmt.Fprintf(b, "%s (*%s, error) {\nout := new(%[2]s)\nif err := c.Do(ctx, %s, out, opts...); err != nil {\nreturn nil, err\n}\nreturn out, nil\n}\n\n",
			signature, g.typeOf(*answer), call)
	}
}

// params writes the struct of an operation's query; what is zero is not sent.
func (g *generator) params(b *strings.Builder, name string, query []parameter) {
	fmt.Fprintf(b, "// %sParams is the query of %s; what is zero is left out.\ntype %[1]sParams struct {\n", name, name)
	for _, p := range query {
		fmt.Fprintf(b, "%s %s%s\n", exported(p.Name), g.typeOf(p.Schema), trailing(p.Description))
	}
	fmt.Fprintf(b, "}\n\nfunc (p %sParams) query() url.Values {\nq := url.Values{}\n", name)
	for _, p := range query {
		field := "p." + exported(p.Name)
		set := func(present, text string) { fmt.Fprintf(b, "if %s {\nq.Set(%q, %s)\n}\n", present, p.Name, text) }
		switch t := g.typeOf(p.Schema); t {
		case "string":
			set(field+` != ""`, field)
		case "bool":
			set(field, `"true"`)
		case "time.Time":
			set("!"+field+".IsZero()", field+".UTC().Format(time.RFC3339Nano)")
		case "[]string":
			fmt.Fprintf(b, "for _, v := range %s {\nq.Add(%q, v)\n}\n", field, p.Name)
		default:
			set(field+" != 0", "strconv.FormatInt(int64("+field+"), 10)")
		}
	}
	b.WriteString("return q\n}\n\n")
}

// comment writes text as a comment.
func comment(b *strings.Builder, text string) {
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		b.WriteString(strings.TrimRight("// "+line, " \n") + "\n")
	}
}

func trailing(text string) string {
	if text = strings.Join(strings.Fields(text), " "); text == "" {
		return ""
	}
	return " // " + text
}

// initialisms are written in capitals.
var initialisms = map[string]bool{"id": true, "ids": true, "url": true, "ip": true, "pii": true, "mfa": true, "pdp": true, "ms": true, "api": true}

// exported is a JSON or parameter name as Go writes it.
func exported(name string) string {
	var b strings.Builder
	for _, part := range strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if initialisms[part] {
			b.WriteString(strings.Replace(strings.ToUpper(part), "IDS", "IDs", 1))
		} else {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}

func unexported(name string) string {
	first, rest, _ := strings.Cut(name, "_")
	if rest == "" {
		return first
	}
	return first + exported(rest)
}
