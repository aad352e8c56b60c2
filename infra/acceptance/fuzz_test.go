//go:build acceptance && local

package acceptance

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"encore.app/docs/openapi"
	"github.com/google/uuid"
)

// Canaries: what is planted must turn up neither in the log nor, if it is a secret, in an answer.
const (
	canaryBody   = "canary0body"
	canaryHeader = "canary0header"
	canaryToken  = "canary0token"
	canaryOps    = "canary0ops0token"
)

// fuzzer calls every operation of the document with what it allows and with what it does not.
type fuzzer struct {
	t      *testing.T
	app    *app
	log    string // the app's, by name
	doc    apiDocument
	rand   *rand.Rand
	pool   map[string][]string // path of a list → what its items are called
	orgs   []string            // organisations that may be broken
	victim string              // a user who may be
	run    string              // begins its keys, which Stripe's stand-in remembers from run to run
	calls  int
	passed map[string]int // operation → answers that were no refusal
	tokens []string
	secret []string // of the app's environment
}

// logOf is a file for an app's log that goes with the test.
func logOf(t *testing.T) *os.File {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "app.log"))
	if err != nil {
		t.Fatal(err)
	}
	return log // the app's end closes it
}

// setting is a number from the environment.
func setting(name string, standard int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return standard
}

// Every operation of the OpenAPI document, with valid, boundary and broken input from every audience:
// no 5xx, no status or shape that the document does not have, every answer guarded, every keyed write
// replayed byte for byte, and no secret in an answer or in the log. FUZZ_CASES is how many calls each
// operation gets, FUZZ_SEED makes them other ones.
func TestEveryOperationStandsFuzzing(t *testing.T) {
	log := logOf(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := startApp(ctx, appConfig{database: scratch(t), seed: true, log: log, unset: []string{"RABBITMQ_URL", "REDIS_URL"}, env: []string{
		"OPS_TOKEN=" + canaryOps, "LOG_LEVEL=debug",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	seed, cases := setting("FUZZ_SEED", 1), setting("FUZZ_CASES", 20)
	f := &fuzzer{t: t, app: a, log: log.Name(), run: unique("fuzz"), rand: newRand(uint64(seed)), pool: map[string][]string{}, passed: map[string]int{}, secret: secretsOfTheApp(t)}
	text, err := openapi.Files.ReadFile("all.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &f.doc); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		slug := unique("fuzz")
		made := want[struct{ ID string }](t, at(a, t, root, "POST", "/api/v1/admin/orgs", map[string]any{"slug": slug, "name": "Fuzz"}), http.StatusCreated)
		f.orgs = append(f.orgs, made.ID)
	}
	f.victim = want[struct{ User struct{ ID string } }](t, at(a, t, mallory, "GET", "/api/v1/me", nil), http.StatusOK).User.ID
	type operation struct{ method, path string }
	var all []operation
	for _, path := range slices.Sorted(maps.Keys(f.doc.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(f.doc.Paths[path])) {
			all = append(all, operation{strings.ToUpper(method), path})
		}
	}
	for round := range cases {
		f.rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, op := range all {
			if round > 0 || op.method == http.MethodGet || op.method == http.MethodPost { // first learn what there is
				f.ask(op.method, op.path, f.doc.Paths[op.path][strings.ToLower(op.method)])
			}
		}
		if t.Failed() {
			t.Fatalf("FUZZ_SEED=%d repeats this", seed)
		}
	}
	never := []string{}
	for _, op := range all {
		if name := op.method + " " + op.path; f.passed[name] == 0 {
			never = append(never, name)
		}
	}
	t.Logf("%d calls of %d operations; these never succeeded: %s", f.calls, len(all), strings.Join(never, ", "))
	if len(never) > len(all)/3 {
		t.Errorf("%d of %d operations never got past their refusals", len(never), len(all))
	}
	f.readLog()
}

// callerOf is a token that is likely to be let in to a path.
func (f *fuzzer) callerOf(path string) string {
	mfa := f.rand.IntN(3) > 0
	choose := func(client string, users ...string) string {
		raw := caller{user: users[f.rand.IntN(len(users))], client: client, mfa: mfa}.token(f.t)
		if !slices.Contains(f.tokens, raw) {
			f.tokens = append(f.tokens, raw)
		}
		return raw
	}
	namespaces := []string{"/admin/", "/org/", "/app/"}
	at := slices.IndexFunc(namespaces, func(n string) bool { return strings.HasPrefix(path, "/api/v1"+n) })
	if at < 0 || f.rand.IntN(15) == 0 {
		at = f.rand.IntN(len(namespaces))
	}
	switch {
	case f.rand.IntN(20) == 0:
		return canaryToken + "." + canaryToken + "." + canaryToken
	case f.rand.IntN(40) == 0:
		return ""
	case at == 0:
		return choose("admin-console", root.user, root.user, root.user, "support@tenantry.test", "auditor@tenantry.test")
	case at == 1:
		return choose("org-console", adaOrg.user, adaOrg.user, adaOrg.user, "alan@acme.test", eveOrg.user)
	}
	return choose("app", adaApp.user, adaApp.user, graceApp.user, bobApp.user, eveApp.user)
}

// id is one for a parameter or field of that name.
func (f *fuzzer) id(name string) string {
	switch {
	case f.rand.IntN(12) == 0:
		return uuid.NewString()
	case name == "org_id":
		return []string{acme, acme, acme, globex}[f.rand.IntN(4)]
	}
	var known []string
	list := map[string]string{"key": "/settings", "name": "/entitlements", "user_id": "/members", "clinician_id": "/members"}[name]
	for _, path := range slices.Sorted(maps.Keys(f.pool)) {
		if strings.HasSuffix(path, cmp.Or(list, "/"+strings.TrimSuffix(name, "_id")+"s")) {
			known = append(known, f.pool[path]...)
		}
	}
	if len(known) == 0 {
		return uuid.NewString()
	}
	return known[f.rand.IntN(len(known))]
}

// fill puts values into a path: of organisations that matter to later calls, staff change none.
func (f *fuzzer) fill(template string) string {
	path := ""
	for _, segment := range strings.Split(template, "/")[1:] {
		name, isParam := strings.CutPrefix(segment, "{")
		name = strings.TrimSuffix(name, "}")
		known := f.pool[path]
		switch {
		case !isParam:
		case f.rand.IntN(12) == 0:
			segment = url.PathEscape([]string{uuid.NewString(), "x", "\x00", "%", "..", strings.Repeat("a", 300), "a\r\nb", "ü"}[f.rand.IntN(8)])
		case strings.HasPrefix(path, "/api/v1/admin/orgs"):
			segment = f.orgs[f.rand.IntN(len(f.orgs))]
		case strings.HasPrefix(path, "/api/v1/admin/users"):
			segment = f.victim
		case name == "org_id":
			segment = f.id(name)
		case len(known) > 0:
			segment = url.PathEscape(known[f.rand.IntN(len(known))])
		default:
			segment = f.id(name)
		}
		path += "/" + segment
	}
	return path
}

// ask makes one call, and repeats it if it is a keyed write.
func (f *fuzzer) ask(method, template string, op apiOperation) {
	f.calls++
	path, query, header := f.fill(template), url.Values{}, http.Header{}
	id := fmt.Sprintf("fuzz-%d", f.calls)
	header.Set("X-Request-ID", id)
	header.Set("User-Agent", canaryHeader)
	header.Set("X-Forwarded-For", canaryHeader)
	header.Set("X-Canary", canaryHeader+"\tx")
	for _, p := range op.Parameters {
		p = f.doc.whole(p)
		if p.In == "path" || !p.Required && f.rand.IntN(3) > 0 {
			continue
		}
		value := fmt.Sprint(f.valid(p.Schema, p.Name, 0))
		if f.rand.IntN(6) == 0 {
			value = fmt.Sprint(odd[f.rand.IntN(len(odd))])
		}
		if p.Name == "Idempotency-Key" {
			value = f.run + id
		}
		if p.In == "query" {
			query.Set(p.Name, value[:min(len(value), 2000)])
		} else if !strings.ContainsAny(value, "\x00\r\n") {
			header.Set(p.Name, value[:min(len(value), 2000)])
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var body any
	if op.RequestBody != nil {
		for media, content := range op.RequestBody.Content {
			valid := f.valid(content.Schema, "", 0)
			header.Set("Content-Type", media)
			if body = encoded(valid); f.rand.IntN(3) == 0 {
				body = f.broken(valid)
			}
		}
	}
	bearer := f.callerOf(template)
	send := func() reply {
		return call(f.t, bearer, method, path, body, func(r *http.Request) {
			u, err := url.Parse(f.app.base + path)
			if err != nil {
				f.t.Fatalf("%s: %v", path, err)
			}
			r.URL, r.Host = u, u.Host
			maps.Copy(r.Header, header)
		})
	}
	r := send()
	for range 3 {
		if r.status != http.StatusServiceUnavailable { // a busy machine: a part that is there answers in the end
			break
		}
		r = send()
	}
	what := fmt.Sprintf("%s %s with %.300v", method, path, body)
	f.check(what, id, op, r)
	if r.status < 300 {
		f.passed[method+" "+template]++
		f.learn(path, r)
	}
	if header.Get("Idempotency-Key") == "" || r.status >= 300 {
		return
	}
	again := send()
	if again.status == http.StatusNotFound && method == http.MethodDelete && strings.HasSuffix(template, "/members/{user_id}") {
		return // they took themselves out, and stand before a closed door
	}
	if again.status != r.status || !bytes.Equal(again.body, r.body) || again.header.Get("Idempotency-Replayed") != "true" ||
		again.header.Get("ETag") != r.header.Get("ETag") {
		f.t.Errorf("%s: answered %d %.300s, and the repeat %d %.300s", what, r.status, r.body, again.status, again.body)
	}
}
