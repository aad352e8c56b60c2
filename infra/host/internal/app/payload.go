package app

import (
	"go/ast"
	"go/token"
	"go/types"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"encore.app/infra/host/internal/diag"
)

// Where says which part of a request or response carries a field.
type Where uint8

// Default is the body, or the query for methods without one.
const (
	Default Where = iota
	Header
	Cookie
	Query
	Status // encore:"httpstatus"
)

// Payload is a request, response or auth parameter struct.
type Payload struct {
	Type    *types.Named
	Pointer bool // the signature has *Type
	Fields  []*Field
}

// Field is one exported field of a payload. QueryName and JSONName are empty where the field is
// left out.
type Field struct {
	Name      string
	Where     Where
	QueryName string
	JSONName  string
	Wire      string // the name in a header or cookie
	queryTag  bool
	jsonTag   bool
	Type      types.Type
	Optional  bool
	OmitEmpty bool
	Sensitive bool
	Tag       reflect.StructTag
	Pos       token.Pos
}

// Place says where a request field travels for a method, and under which name; no name means that
// it does not. A method with a body takes a field from the query only if it has a query tag and
// no json tag, as the two are often written together.
func (f *Field) Place(method string) (Where, string) {
	switch {
	case f.Where != Default:
		return f.Where, f.Wire
	case HasBody(method) && (f.jsonTag || !f.queryTag):
		return Default, f.JSONName
	default:
		return Query, f.QueryName
	}
}

// use is what a payload is for; the rules differ.
type use uint8

const (
	forRequest use = iota
	forResponse
	forAuth
)

// payloads reads payload structs and checks their fields.
type payloads struct{ diags *diag.List }

// read analyses t as it stands in a signature at pos; it returns nil after a finding.
func (ps payloads) read(t types.Type, pos token.Pos, u use, inQuery, inBody bool) *Payload {
	p := &Payload{}
	if ptr, ok := types.Unalias(t).(*types.Pointer); ok {
		p.Pointer = true
		t = ptr.Elem()
	}
	named, ok := types.Unalias(t).(*types.Named)
	if !ok {
		ps.diags.Addf(pos, "%s is not a named struct; payloads must be named struct types or pointers to them", short(t))
		return nil
	}
	st, ok := named.Underlying().(*types.Struct)
	if !ok {
		ps.diags.Addf(pos, "%s is not a struct; payloads must be named struct types or pointers to them", short(t))
		return nil
	}
	p.Type = named
	var status *types.Var
	for i := range st.NumFields() {
		v := st.Field(i)
		if v.Embedded() {
			ps.diags.Addf(v.Pos(), "embedded field %s in payload %s; name the field or copy its fields", v.Name(), named.Obj().Name())
			continue
		}
		if !v.Exported() {
			continue
		}
		f := ps.field(v, reflect.StructTag(st.Tag(i)), u)
		if f == nil {
			continue
		}
		if f.Where == Status {
			if status != nil {
				ps.diags.Addf(v.Pos(), "second httpstatus field after %s; keep one", status.Name())
			}
			status = v
		}
		ps.checkField(f, u, inQuery, inBody)
		p.Fields = append(p.Fields, f)
	}
	return p
}

func (ps payloads) field(v *types.Var, tag reflect.StructTag, u use) *Field {
	f := &Field{Name: v.Name(), Type: v.Type(), QueryName: snake(v.Name()), JSONName: v.Name(), Tag: tag, Pos: v.Pos()}
	if q, ok := firstTag(tag, "query", "qs"); ok {
		f.queryTag = true
		name, _, _ := strings.Cut(q, ",")
		switch name {
		case "-":
			f.QueryName = ""
		case "":
		default:
			f.QueryName = name
		}
		if u == forAuth {
			f.Where, f.Wire = Query, f.QueryName
		}
	}
	if j, ok := tag.Lookup("json"); ok {
		f.jsonTag = true
		name, opts, _ := strings.Cut(j, ",")
		switch {
		case j == "-":
			f.JSONName = ""
			if !f.queryTag {
				f.QueryName = ""
			}
		case name != "":
			f.JSONName = name
		}
		f.OmitEmpty = slices.Contains(strings.Split(opts, ","), "omitempty") || slices.Contains(strings.Split(opts, ","), "omitzero")
	}
	if h, ok := tag.Lookup("header"); ok && h != "-" {
		f.Where = Header
		f.Wire, _, _ = strings.Cut(h, ",")
		if strings.HasPrefix(strings.ToLower(f.Wire), "x-encore-") {
			ps.diags.Addf(v.Pos(), "header %s: names that begin with X-Encore- are reserved; rename it", f.Wire)
		}
	}
	if c, ok := tag.Lookup("cookie"); ok {
		if u != forAuth {
			ps.diags.Addf(v.Pos(), "cookie fields are for the auth handler's parameters only; read the cookie there or from a header field")
			return nil
		}
		f.Where = Cookie
		f.Wire, _, _ = strings.Cut(c, ",")
	}
	for word := range strings.SplitSeq(tag.Get("encore"), ",") {
		switch word {
		case "optional":
			f.Optional = true
		case "sensitive":
			f.Sensitive = true
		case "httpstatus":
			f.Where = Status
			if u != forResponse {
				ps.diags.Addf(v.Pos(), "encore:\"httpstatus\" is for response structs only; remove it")
			} else if b, ok := v.Type().(*types.Basic); !ok || b.Kind() != types.Int {
				ps.diags.Addf(v.Pos(), "encore:\"httpstatus\" field %s must be of type int", v.Name())
			}
		}
	}
	return f
}

func (ps payloads) checkField(f *Field, u use, inQuery, inBody bool) {
	switch {
	case f.Where == Status:
	case f.Where == Header:
		ps.checkScalar(f, "header")
	case f.Where == Cookie:
		if ptr, ok := f.Type.(*types.Pointer); ok && isNamed(ptr.Elem(), "net/http", "Cookie") {
			return
		}
		if _, ok := f.Type.(*types.Basic); !ok {
			ps.diags.Addf(f.Pos, "cookie field %s has type %s; use a builtin type or *http.Cookie", f.Name, short(f.Type))
		}
	case u == forAuth && f.Where == Query:
		ps.checkScalar(f, "query")
	case u == forAuth:
		ps.diags.Addf(f.Pos, "auth parameter %s needs a header, query or cookie tag", f.Name)
	default:
		queryOnly := u == forRequest && f.queryTag && !f.jsonTag
		if (inQuery || queryOnly) && f.QueryName != "" {
			ps.checkScalar(f, "query")
		}
		if inBody && !queryOnly && f.JSONName != "" {
			ps.checkBody(f.Type, f.Pos, f.Name, map[types.Type]bool{})
		}
	}
}

func firstTag(tag reflect.StructTag, keys ...string) (string, bool) {
	for _, k := range keys {
		if v, ok := tag.Lookup(k); ok {
			return v, true
		}
	}
	return "", false
}

// snake turns a Go name into the query name that Encore gives it by default.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 &&
			(!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// fieldDoc finds the comment of a struct field by position in the app's own files.
func fieldDoc(files []*ast.File, pos token.Pos) string {
	for _, f := range files {
		if pos < f.FileStart || pos > f.FileEnd {
			continue
		}
		var doc string
		ast.Inspect(f, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok {
				return true
			}
			for _, name := range field.Names {
				if name.Pos() == pos {
					if doc = field.Doc.Text(); doc == "" {
						doc = field.Comment.Text()
					}
				}
			}
			return true
		})
		return strings.TrimSpace(doc)
	}
	return ""
}
