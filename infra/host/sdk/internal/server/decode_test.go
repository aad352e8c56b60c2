//go:build stockhost

package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"encore.dev/beta/auth"
	"encore.dev/beta/errs"
	"encore.dev/internal/registry"
	"encore.dev/types/option"
	"encore.dev/types/uuid"
)

type bodyReq struct {
	Title   string             `json:"title"`
	Count   int                `json:"count"`
	Tags    []string           `json:"tags"`
	Attr    map[string]any     `json:"attr"`
	Inner   struct{ A int }    `json:"inner"`
	At      *time.Time         `json:"at,omitempty"`
	Ref     uuid.UUID          `json:"ref"`
	Maybe   option.Option[int] `json:"maybe"`
	Raw     json.RawMessage    `json:"raw"`
	Default string
	Dropped string `json:"-"`
	Trace   string `header:"X-Trace"`
	Filter  string `query:"filter"`
	Both    string `json:"both" query:"both"`
	secret  string
}

func TestBody(t *testing.T) {
	t.Parallel()
	a := newApp(t, typed("POST", "/b", func(_ context.Context, _ []any, r *bodyReq) (*struct{ Got string }, error) {
		return &struct{ Got string }{fmt.Sprintf("%s|%d|%v|%s|%s|%s|%s", r.Title, r.Count, r.Maybe, r.Default, r.Trace, r.Filter, r.Both)}, nil
	}))
	deep := strings.Repeat(`[`, 80) + strings.Repeat(`]`, 80)
	for _, tc := range []struct {
		name, url, body string
		headers         []string
		want            string // of the answer, if status is 200
		field, message  string // otherwise
	}{
		{"good", "/b", `{"title":"x","count":3,"maybe":1}`, nil, "x|3|1||||", "", ""},
		{"no content type needed", "/b", `{"title":"x"}`, []string{"Content-Type: text/plain"}, "x|0|None||||", "", ""},
		{"go name by default, any case", "/b", `{"default":"d","TITLE":"x"}`, nil, "x|0|None|d|||", "", ""},
		{"header and query", "/b?filter=f&other=1", `{}`, []string{"X-Trace: t"}, "|0|None||t|f|", "", ""},
		{"both tags: from the body", "/b?both=query", `{"both":"body"}`, nil, "|0|None||||body", "", ""},
		{"null clears", "/b", `{"title":null,"maybe":null,"tags":null,"at":null}`, nil, "|0|None||||", "", ""},
		{"surrounded by space", "/b", " \n{}\t", nil, "|0|None||||", "", ""},

		{"empty", "/b", "", nil, "", "body", "is missing"},
		{"only space", "/b", "  ", nil, "", "body", "is missing"},
		{"garbage", "/b", "hello", nil, "", "body", "must be a JSON object"},
		{"list", "/b", "[]", nil, "", "body", "must be a JSON object"},
		{"string", "/b", `"s"`, nil, "", "body", "must be a JSON object"},
		{"null", "/b", "null", nil, "", "body", "must be a JSON object"},
		{"truncated", "/b", `{"title":"x"`, nil, "", "body", "is not well-formed JSON"},
		{"trailing junk", "/b", `{"title":"x"}x`, nil, "", "body", "is not well-formed JSON"},
		{"two objects", "/b", `{"title":"x"}{"count":1}`, nil, "", "body", "is not well-formed JSON"},
		{"comment", "/b", `{/* */}`, nil, "", "body", "is not well-formed JSON"},
		{"not UTF-8", "/b", "{\"title\":\"\xff\"}", nil, "", "title", "is not well-formed JSON"},
		{"unknown", "/b", `{"titel":"x"}`, nil, "", "titel", "is not a known field"},
		{"unknown, nested", "/b", `{"inner":{"b":1}}`, nil, "", "inner.b", "is not a known field"},
		{"header field in the body", "/b", `{"Trace":"x"}`, nil, "", "Trace", "is not a known field"},
		{"query field in the body", "/b", `{"Filter":"x"}`, nil, "", "Filter", "is not a known field"},
		{"dropped field", "/b", `{"Dropped":"x"}`, nil, "", "Dropped", "is not a known field"},
		{"unexported field", "/b", `{"secret":"x"}`, nil, "", "secret", "is not a known field"},
		{"twice", "/b", `{"title":"x","title":"y"}`, nil, "", "title", "is given twice"},
		{"twice in another case", "/b", `{"title":"x","Title":"y"}`, nil, "", "Title", "is given twice"},
		{"twice in a map", "/b", `{"attr":{"a":1,"a":2}}`, nil, "", "attr.a", "is given twice"},
		{"wrong type", "/b", `{"count":"3"}`, nil, "", "count", "must be an integer in range"},
		{"fraction", "/b", `{"count":1.5}`, nil, "", "count", "must be an integer in range"},
		{"too large a number", "/b", `{"count":1e400}`, nil, "", "count", "must be an integer in range"},
		{"string for a list", "/b", `{"tags":"x"}`, nil, "", "tags", "must be a list"},
		{"in a list", "/b", `{"tags":["x",1]}`, nil, "", "tags.1", "must be a string"},
		{"list for an object", "/b", `{"inner":[]}`, nil, "", "inner", "must be an object"},
		{"time", "/b", `{"at":"yesterday"}`, nil, "", "at", "must be a time as RFC 3339 has it"},
		{"uuid", "/b", `{"ref":"7"}`, nil, "", "ref", "must be a UUID"},
		{"number for a uuid", "/b", `{"ref":7}`, nil, "", "ref", "must be a UUID"},
		{"too deep", "/b", `{"raw":` + deep + `}`, nil, "", "body", "nests too deep"},
		{"malformed query", "/b?filter=%zz", `{}`, nil, "", "query", "is not a well-formed query string"},
		{"query twice", "/b?filter=1&filter=2", `{}`, nil, "", "filter", "must be given once"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := a.do("POST", tc.url, tc.body, tc.headers...)
			if tc.field == "" {
				if want := fmt.Sprintf("{\"Got\":%q}\n", tc.want); got.status != 200 || got.body != want {
					t.Errorf("%d %s, want %s", got.status, got.body, want)
				}
				return
			}
			e := got.errorBody(t)
			want := []fieldProblem{{tc.field, tc.message}}
			if got.status != 400 || e.Code != "invalid_argument" || e.Details.Reason != reasonInvalid || !reflect.DeepEqual(e.Details.Fields, want) {
				t.Errorf("%d %s, want %v", got.status, got.body, want)
			}
			if e.Message != tc.field+" "+tc.message || e.Details.RequestID == "" {
				t.Errorf("message %q, request %q", e.Message, e.Details.RequestID)
			}
		})
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	type req struct{ Title string }
	a := newApp(t, func(a *app) { a.config.Limits.Body = 30 },
		typed("POST", "/b", func(context.Context, []any, *req) (*none, error) { return nil, nil }))
	for name, tc := range map[string]struct {
		body   string
		length int64
		status int
	}{
		"fits":            {`{"Title":"0123456789abcdefgh"}`, 30, 200},
		"announced":       {`{"Title":"0123456789abcdefghi"}`, 31, 413},
		"chunked":         {`{"Title":"0123456789abcdefghi"}`, -1, 413},
		"chunked, fits":   {`{"Title":"0123456789abcdefgh"}`, -1, 200},
		"endless spaces":  {strings.Repeat(" ", 100), -1, 413},
		"large but small": {`{}`, 31, 413},
	} {
		r := httptest.NewRequest("POST", "/b", io.MultiReader(strings.NewReader(tc.body)))
		r.ContentLength = tc.length
		w := httptest.NewRecorder()
		a.server.ServeHTTP(w, r)
		if w.Code != tc.status {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, tc.status)
		}
		if w.Code == 413 && !strings.Contains(w.Body.String(), `"code":"invalid_argument","message":"the request body is too large","details":{"reason":"payload_too_large"`) {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
}

type queryReq struct {
	OrgID   string
	Limit   int `query:"limit" json:"l"`
	Small   int8
	Size    uint16 `qs:"sz"`
	Ratio   float64
	Deep    bool
	Since   time.Time
	Ref     uuid.UUID
	Blob    []byte
	Raw     json.RawMessage
	By      auth.UID
	Cursor  option.Option[string]
	Page    option.Option[int]
	Tags    []string `query:"tag"`
	Counts  []int
	Dropped string `query:"-"`
	Hidden  string `json:"-"`
	Lang    string `header:"accept-language"`
	Marks   []int  `header:"X-Mark"`
}

func TestQueryAndHeaders(t *testing.T) {
	t.Parallel()
	var last *queryReq
	a := newApp(t, typed("GET", "/q", func(_ context.Context, _ []any, r *queryReq) (*none, error) {
		last = r
		return nil, nil
	}))
	ref := uuid.Must(uuid.FromString("6ba7b810-9dad-11d1-80b4-00c04fd430c8"))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tc := range []struct {
		query   string
		headers []string
		want    queryReq
	}{
		{"", nil, queryReq{}},
		{"org_id=x&limit=5&small=-3&sz=9&ratio=1.5&deep=true&unknown=1", nil, queryReq{OrgID: "x", Limit: 5, Small: -3, Size: 9, Ratio: 1.5, Deep: true}},
		{"l=5&size=3&OrgID=x&dropped=x&hidden=x&Hidden=x", nil, queryReq{}},
		{"since=2026-01-02T03:04:05Z&ref=" + ref.String(), nil, queryReq{Since: at, Ref: ref}},
		{"blob=_-8%3D&raw=%7B%7D&by=u1", nil, queryReq{Blob: []byte{0xff, 0xef}, Raw: json.RawMessage("{}"), By: "u1"}},
		{"cursor=&page=3", nil, queryReq{Cursor: option.Some(""), Page: option.Some(3)}},
		{"tag=a&tag=b&counts=1&counts=2", nil, queryReq{Tags: []string{"a", "b"}, Counts: []int{1, 2}}},
		{"", []string{"Accept-Language: de", "X-Mark: 1", "X-Mark: 2"}, queryReq{Lang: "de", Marks: []int{1, 2}}},
	} {
		if got := a.do("GET", "/q?"+tc.query, "ignored", tc.headers...); got.status != 200 || !reflect.DeepEqual(*last, tc.want) {
			t.Errorf("%s: %d %s\n got %+v\nwant %+v", tc.query, got.status, got.body, *last, tc.want)
		}
	}
	for query, field := range map[string]string{
		"limit=x": "limit", "limit=": "limit", "limit=99999999999999999999": "limit", "small=200": "small", "sz=-1": "sz",
		"ratio=x": "ratio", "deep=maybe": "deep", "since=now": "since", "ref=7": "ref", "blob=%25": "blob", "raw=%7B": "raw",
		"page=x": "page", "counts=1&counts=x": "counts", "deep=1&deep=0": "deep",
	} {
		got := a.do("GET", "/q?"+query, "")
		if e := got.errorBody(t); got.status != 400 || len(e.Details.Fields) != 1 || e.Details.Fields[0].Field != field {
			t.Errorf("%s: %d %s, want 400 for %s", query, got.status, got.body, field)
		}
	}
	if e := a.do("GET", "/q?limit=x&deep=y", "").errorBody(t); len(e.Details.Fields) != 2 {
		t.Errorf("every wrong field must be named: %v", e.Details.Fields)
	}
}

func TestPathParameters(t *testing.T) {
	t.Parallel()
	const ref = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
	var last []any
	a := newApp(t, typed("GET", "/p/:s/:b/:i/:i8/:u/:u16/:id/*rest", func(_ context.Context, path []any, _ *none) (*none, error) {
		last = path
		return nil, nil
	}, kinds(registry.String, registry.Bool, registry.Int, registry.Int8, registry.Uint, registry.Uint16, registry.UUID, registry.String)))
	if got := a.do("GET", "/p/a%20b/true/-5/7/8/9/"+ref+"/x/y", ""); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	want := []any{"a b", true, -5, int8(7), uint(8), uint16(9), uuid.Must(uuid.FromString(ref)), "x/y"}
	if !reflect.DeepEqual(last, want) {
		t.Fatalf("got %#v", last)
	}
	for path, field := range map[string]string{
		"/p/a/maybe/1/1/1/1/" + ref + "/x": "b", "/p/a/true/x/1/1/1/" + ref + "/x": "i", "/p/a/true/1/200/1/1/" + ref + "/x": "i8",
		"/p/a/true/1/1/-1/1/" + ref + "/x": "u", "/p/a/true/1/1/1/70000/" + ref + "/x": "u16", "/p/a/true/1/1/1/1/nope/x": "id",
	} {
		got := a.do("GET", path, "")
		if e := got.errorBody(t); got.status != 400 || len(e.Details.Fields) != 1 || e.Details.Fields[0].Field != field {
			t.Errorf("%s: %d %s, want %s", path, got.status, got.body, field)
		}
	}
}

type validated struct {
	Title string `json:"title"`
}

func (v *validated) Validate() error {
	switch v.Title {
	case "":
		return fmt.Errorf("title is required")
	case "conflict":
		return errs.B().Code(errs.AlreadyExists).Msg("taken").Err()
	case "panic":
		panic("secret of Validate")
	}
	return nil
}

func TestValidate(t *testing.T) {
	t.Parallel()
	a := newApp(t, typed("POST", "/v", func(context.Context, []any, *validated) (*none, error) { return nil, nil }))
	for body, want := range map[string]string{
		`{"title":"x"}`:        "200 ",
		`{}`:                   `400 {"code":"invalid_argument","message":"validation failed: title is required","details":{"reason":"validation_failed","request_id":"r"}}`,
		`{"title":"conflict"}`: `409 {"code":"already_exists","message":"taken","details":null}`,
		`{"title":"panic"}`:    `500 {"code":"internal","message":"an internal error occurred","details":{"reason":"internal","request_id":"r"}}`,
	} {
		got := a.do("POST", "/v", body, "X-Request-ID: r")
		if text := fmt.Sprintf("%d %s", got.status, strings.TrimSpace(got.body)); text != want {
			t.Errorf("%s: %s\nwant %s", body, text, want)
		}
	}
}

func TestPlansThatCannotBe(t *testing.T) {
	t.Parallel()
	type named string
	for name, typ := range map[string]reflect.Type{
		"struct in query":  reflect.TypeFor[struct{ A struct{ B int } }](),
		"map in query":     reflect.TypeFor[struct{ A map[string]int }](),
		"pointer in query": reflect.TypeFor[struct{ A *int }](),
		"named in query":   reflect.TypeFor[struct{ A named }](),
	} {
		if _, err := newDecoder(typ, false); err == nil {
			t.Errorf("%s: was planned", name)
		}
	}
}

func FuzzStrictBody(f *testing.F) {
	for _, seed := range []string{`{}`, `{"title":"x"}`, `{"title":"x","title":"y"}`, `{"inner":{"A":1}}`, `[`, `{"raw":[[[[]]]]}`, "\xff", `{"attr":{"a":null}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got bodyReq
		if unmarshalStrict(data, &got) == nil && !json.Valid(data) {
			t.Errorf("%q was taken, and is not JSON", data)
		}
	})
}
