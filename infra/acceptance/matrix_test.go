//go:build acceptance

package acceptance

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// matrix is the files of matrix/, one a service.
type matrix struct {
	Callers map[string]struct {
		User, Client string
		MFA          bool
		Named        bool // only in the cases that name it
	}
	Operations []struct {
		Operation string // method and path, as the OpenAPI document has them
		Open      bool   // anyone may call it, no decision is made
		Keyed     bool   // every call carries an idempotency key of its own
		Cases     []struct {
			Path string // the path with its parameters filled in
			Body string
			// caller → status, or status and reason, or two of these with " or " where an optional part
			// decides; "*" is every other caller
			Expect map[string]string
		}
	}
}

func load(t *testing.T) matrix {
	t.Helper()
	files, err := filepath.Glob("matrix/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("the matrix is not there: %v, %v", files, err)
	}
	var all matrix
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var part matrix
		dec := yaml.NewDecoder(strings.NewReader(string(text)))
		dec.KnownFields(true)
		if err := dec.Decode(&part); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if part.Callers != nil {
			all.Callers = part.Callers
		}
		all.Operations = append(all.Operations, part.Operations...)
	}
	return all
}

func TestEveryOperationIsInTheMatrix(t *testing.T) {
	t.Parallel()
	var built, listed []string
	open := map[string]bool{}
	for path, methods := range openAPI(t).Paths {
		for method, about := range methods {
			op := strings.ToUpper(method) + " " + path
			built = append(built, op)
			open[op] = slices.Contains(about.Tags, "open")
		}
	}
	for _, op := range load(t).Operations {
		listed = append(listed, op.Operation)
		if open[op.Operation] && !op.Open {
			t.Errorf("%s lets everybody in without a decision, and the matrix does not say that it is meant to", op.Operation)
		}
	}
	slices.Sort(built)
	slices.Sort(listed)
	for _, op := range built {
		if !slices.Contains(listed, op) {
			t.Errorf("%s is served and not in the matrix: say who may use it", op)
		}
	}
	for _, op := range listed {
		if !slices.Contains(built, op) {
			t.Errorf("%s is in the matrix and not served", op)
		}
	}
}

func TestTheMatrixHolds(t *testing.T) {
	t.Parallel()
	m := load(t)
	names := slices.Sorted(maps.Keys(m.Callers))
	for _, op := range m.Operations {
		method, _, _ := strings.Cut(op.Operation, " ")
		if len(op.Cases) == 0 {
			t.Errorf("%s has no case", op.Operation)
		}
		for _, c := range op.Cases {
			for _, name := range append(names, "anonymous") {
				expect, ok := c.Expect[name]
				if !ok && m.Callers[name].Named {
					continue
				}
				if !ok {
					expect, ok = c.Expect["*"]
				}
				if !ok {
					t.Errorf("%s %s does not say what %s gets", method, c.Path, name)
					continue
				}
				t.Run(method+c.Path+"/"+name, func(t *testing.T) {
					t.Parallel()
					bearer := ""
					if name != "anonymous" {
						who := m.Callers[name]
						bearer = caller{user: who.User, client: who.Client, mfa: who.MFA}.token(t)
					}
					var edits []func(*http.Request)
					if op.Keyed {
						edits = append(edits, withKey(unique("matrix")))
					}
					check(t, call(t, bearer, method, c.Path, body(c.Body), edits...), expect)
				})
			}
		}
	}
}

// body fills in a name of its own for every call.
func body(template string) any {
	if template == "" {
		return nil
	}
	return strings.ReplaceAll(template, "$unique", unique("matrix"))
}

func check(t *testing.T, r reply, expect string) {
	t.Helper()
	status, reason := "", ""
	for either := range strings.SplitSeq(expect, " or ") {
		if status, reason, _ = strings.Cut(either, " "); status == strconv.Itoa(r.status) {
			break
		}
	}
	if strconv.Itoa(r.status) != status {
		t.Fatalf("got %d, want %s: %s", r.status, expect, r.body)
	}
	if reason == "" {
		return
	}
	var f failure
	if err := json.Unmarshal(r.body, &f); err != nil || f.reason() != reason {
		t.Errorf("want reason %s: %s", reason, r.body)
	}
}
