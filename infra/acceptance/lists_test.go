//go:build acceptance

package acceptance

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"encore.app/docs/openapi"
)

// document is the part of the OpenAPI document that tests go by.
type document struct {
	Paths map[string]map[string]struct {
		Tags       []string `json:"x-encore-tags"`
		Parameters []reference
	}
}

type reference struct {
	Ref string `json:"$ref"`
}

func openAPI(t *testing.T) (doc document) {
	t.Helper()
	text, err := openapi.Files.ReadFile("all.json")
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// readerOf is a path of the operation and somebody who gets a page of it by the matrix, or at least gets
// as far as being told that what it is a list of is not there.
func (m matrix) readerOf(operation string) (path string, who caller, page bool) {
	for _, op := range m.Operations {
		if op.Operation != operation {
			continue
		}
		for _, status := range []string{"200", "404"} {
			for _, c := range op.Cases {
				for _, name := range slices.Sorted(maps.Keys(m.Callers)) {
					if in, ok := m.Callers[name]; ok && strings.HasPrefix(c.Expect[name], status) {
						return c.Path, caller{user: in.User, client: in.Client, mfa: in.MFA}, status == "200"
					}
				}
			}
		}
	}
	return "", caller{}, false
}

// Whatever lists, cuts by the same rules, answers a list even of nothing, and lists what a read of one
// gives.
func TestEveryListIsCutByTheSameRules(t *testing.T) {
	t.Parallel()
	m, lists := load(t), 0
	for path, methods := range openAPI(t).Paths {
		get, ok := methods["get"]
		if !ok || !slices.ContainsFunc(get.Parameters, func(p reference) bool { return p.Ref == "#/components/parameters/limit" }) {
			continue
		}
		lists++
		at, who, page := m.readerOf("GET " + path)
		if at == "" {
			t.Errorf("the matrix names nobody who may read %s", path)
			continue
		}
		at, _, _ = strings.Cut(at, "?")
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			for query, field := range map[string]string{
				"limit=0": "limit", "limit=-1": "limit", "limit=201": "limit", "limit=abc": "limit", "limit=1.5": "limit",
				"cursor=%21%21": "cursor", "cursor=abc": "cursor", "cursor=bm90IGpzb24": "cursor",
			} {
				f := wantFailure(t, call(t, who.token(t), "GET", at+"?"+query, nil), http.StatusBadRequest, "validation_failed")
				if stockHost && (len(f.Details.Fields) != 1 || f.Details.Fields[0].Field != field) {
					t.Errorf("%s: %+v", query, f.Details.Fields)
				}
			}
			if !page {
				return
			}
			got := want[map[string]json.RawMessage](t, call(t, who.token(t), "GET", at+"?limit=1", nil), http.StatusOK)
			var items []map[string]any
			if err := json.Unmarshal(got["items"], &items); err != nil || items == nil || len(items) > 1 || len(got["next_cursor"]) == 0 {
				t.Fatalf("got items %s, next_cursor %s", got["items"], got["next_cursor"])
			}
			want[list[any]](t, call(t, who.token(t), "GET", at+"?limit=200", nil), http.StatusOK)
			if len(items) == 1 {
				likeTheSingleRead(t, m, who, path, at, items[0])
			}
		})
	}
	if lists < 20 {
		t.Errorf("found only %d lists: this test looks in the wrong place", lists)
	}
}

// likeTheSingleRead compares an item with what a read of it gives, if there is such a read.
func likeTheSingleRead(t *testing.T, m matrix, who caller, path, at string, item map[string]any) {
	t.Helper()
	for _, op := range m.Operations {
		parameter, ok := strings.CutPrefix(op.Operation, "GET "+path+"/{")
		name, rest, _ := strings.Cut(parameter, "}")
		if !ok || rest != "" {
			continue
		}
		id, ok := item[name].(string)
		if !ok {
			id, ok = item["id"].(string)
		}
		if !ok {
			t.Fatalf("no %s in %v", name, item)
		}
		// Others may be changing it.
		eventually(t, 5*time.Second, "the item is like the single read", func() bool {
			single := want[map[string]any](t, call(t, who.token(t), "GET", at+"/"+id, nil), http.StatusOK)
			same := reflect.DeepEqual(single, item)
			if !same {
				t.Logf("listed %v, read %v", item, single)
				item = want[list[map[string]any]](t, call(t, who.token(t), "GET", at+"?limit=1", nil), http.StatusOK).Items[0]
			}
			return same
		})
	}
}
