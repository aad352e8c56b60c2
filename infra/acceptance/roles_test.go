//go:build acceptance

package acceptance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// roleCase is one operation of roles.yaml.
type roleCase struct {
	Operation, Query, Body string
	At                     map[string]string // parameters other than org_id
	Keyed                  bool              // carries an idempotency key of its own
	Allow                  []string          // roles
	Answer                 string            // what these get, where it is not success: a status and a reason, or any
}

// holders are people with one role each. The owner is the first.
var holders = []struct{ role, user string }{
	{"owner", "eve@globex.test"}, {"admin", "alan@acme.test"}, {"billing", "ada@acme.test"},
	{"auditor", "mallory@nowhere.test"}, {"member", "bob@acme.test"}, {"guest", "grace@acme.test"},
}

// nobodys is the id of no organisation.
const nobodys = "00000000-0000-7000-8000-00000000dead"

func roleCases(t *testing.T) (cases []roleCase) {
	t.Helper()
	text, err := os.ReadFile("roles.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Operations []roleCase }
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	return file.Operations
}

// Every operation on an organisation, for every role, with a token of every audience, in their own
// organisation, in another and in none.
func TestEveryRoleGetsWhatItMayAndNothingElse(t *testing.T) {
	t.Parallel()
	cases := roleCases(t)
	for path, methods := range openAPI(t).Paths {
		if !strings.HasPrefix(path, "/api/v1/org/{org_id}") && !strings.HasPrefix(path, "/api/v1/app/orgs/{org_id}") {
			continue
		}
		for method := range methods {
			op := strings.ToUpper(method) + " " + path
			if !slices.ContainsFunc(cases, func(c roleCase) bool { return c.Operation == op }) {
				t.Errorf("%s is not in roles.yaml: say which roles may", op)
			}
		}
	}
	s := newStage(t)
	for _, c := range cases {
		t.Run(c.Operation, func(t *testing.T) {
			t.Parallel()
			for _, h := range holders {
				s.try(t, c, h.role, h.user)
			}
		})
	}
}

// stage is an organisation with somebody of each role, and another one that none of them belongs to.
type stage struct {
	own, other    string
	owner, member string // users
	event         string
}

func newStage(t *testing.T) (s stage) {
	t.Helper()
	s.own = tenant(t).ID // eve's
	s.other = want[org](t, call(t, root.token(t), "POST", "/api/v1/admin/orgs", map[string]string{"slug": unique("other"), "name": "Other"}), http.StatusCreated).ID
	licence := map[string]any{"tier": "enterprise", "feature_flags": map[string]bool{}, "seats": 100}
	for _, id := range []string{s.own, s.other} {
		ok(t, call(t, rootMFA.token(t), "PUT", "/api/v1/admin/orgs/"+id+"/license", licence, withKey(unique("roles"))))
	}
	for _, h := range holders[1:] {
		accept(t, caller{user: h.user, client: "app"}, invite(t, eveOrg, s.own, map[string]any{"email": h.user, "org_roles": []string{h.role}}))
	}
	s.owner, s.member = idOf(t, eveApp), idOf(t, bobApp)
	eventually(t, 20*time.Second, "an event has its number", func() bool {
		for _, e := range eventsIn(t, eveOrg, s.own) {
			s.event = e.ID
		}
		r := call(t, eveOrg.token(t), "GET", "/api/v1/org/"+s.own+"/audit/events/"+s.event+"/proof", nil)
		return s.event != "" && r.status == http.StatusOK
	})
	return s
}

// try makes every call of one role to one operation.
func (s stage) try(t *testing.T, c roleCase, role, user string) {
	t.Helper()
	client, others := "org-console", []string{"admin-console", "app"}
	if strings.Contains(c.Operation, " /api/v1/app/") {
		client, others = "app", []string{"admin-console", "org-console"}
	}
	who := caller{user: user, client: client, mfa: true}
	filled := map[string]string{}
	defer func() {
		if sink := filled["$sink"]; sink != "" { // an organisation has only so many
			call(t, eveOrg.token(t), "DELETE", "/api/v1/org/"+s.own+"/audit/sinks/"+sink, nil)
		}
	}()
	fill := func(text string) string { return s.fill(t, filled, text) }
	do := func(who caller, org string) reply {
		method, path, _ := strings.Cut(c.Operation, " ")
		path = strings.ReplaceAll(path, "{org_id}", org)
		for name, value := range c.At {
			path = strings.ReplaceAll(path, "{"+name+"}", fill(value))
		}
		if c.Query != "" {
			path += "?" + c.Query
		}
		var edits []func(*http.Request)
		if c.Keyed {
			edits = append(edits, withKey(unique("roles")))
		}
		return call(t, who.token(t), method, path, body(fill(c.Body)), edits...)
	}
	for _, client := range others {
		wantReason(t, do(caller{user: user, client: client, mfa: true}, s.own), role+" at "+client, "403 wrong_audience")
	}
	absent := do(who, nobodys)
	wantReason(t, absent, role+" in none", "404 not_found")
	foreign := do(who, s.other)
	wantReason(t, foreign, role+" in another", "404 not_found")
	if a, b := anyRequest.ReplaceAllString(string(absent.body), ""), anyRequest.ReplaceAllString(string(foreign.body), ""); a != b {
		t.Errorf("%s: another organisation answers %s, none %s", role, b, a)
	}
	r := do(who, s.own)
	switch {
	case !slices.Contains(c.Allow, role):
		wantReason(t, r, role, "403 policy_denied")
	case c.Answer == "any":
		if r.status == http.StatusForbidden || r.status == http.StatusNotFound {
			t.Errorf("%s: got %d %s", role, r.status, short(r.body))
		}
	case c.Answer != "":
		wantReason(t, r, role, c.Answer)
	case r.status/100 != 2:
		t.Errorf("%s: got %d %s", role, r.status, short(r.body))
	}
}

var anyRequest = regexp.MustCompile(`"request_id": ?"[^"]*"`)

// short is the beginning of a body.
func short(body []byte) []byte { return body[:min(len(body), 300)] }

func wantReason(t *testing.T, r reply, what, expect string) {
	t.Helper()
	var f failure
	if err := json.Unmarshal(r.body, &f); err != nil || fmt.Sprint(r.status, " ", f.reason()) != expect {
		t.Errorf("%s: got %d %s, want %s", what, r.status, short(r.body), expect)
	}
}

var placeholder = regexp.MustCompile(`\$[a-z]+`)

// fill puts in what the placeholders of text stand for; each is made once a role.
func (s stage) fill(t *testing.T, filled map[string]string, text string) string {
	t.Helper()
	return placeholder.ReplaceAllStringFunc(text, func(name string) string {
		if name == "$unique" { // anew for each call
			return unique("roles")
		}
		if filled[name] == "" {
			filled[name] = s.make(t, name)
		}
		return filled[name]
	})
}

func (s stage) make(t *testing.T, what string) string {
	t.Helper()
	console, app, eve := "/api/v1/org/"+s.own, "/api/v1/app/orgs/"+s.own, eveAppMFA
	path, body := "", `{"title":"$unique","sensitivity":"internal","pii":false}`
	switch what {
	case "$dead":
		return nobodys
	case "$owner":
		return s.owner
	case "$member":
		return s.member
	case "$event":
		return s.event
	case "$team":
		path, body, eve = console+"/teams", `{"name":"$unique"}`, eveOrg
	case "$invitation":
		path, body, eve = console+"/invitations", `{"email":"$unique@roles.test","org_roles":["member"]}`, eveOrg
	case "$key":
		path, body, eve = console+"/api-keys", `{"name":"$unique","org_roles":["member"]}`, caller{user: eveOrg.user, client: eveOrg.client, mfa: true}
	case "$sink":
		path, body, eve = console+"/audit/sinks", `{"url":"https://hooks.invalid/roles"}`, eveOrg
	case "$project":
		path = app + "/projects"
	case "$doc":
		path = app + "/docs"
	case "$record":
		path, body = app+"/patient-records", `{"title":"$unique","sensitivity":"internal","pii":true,"patient_ref":"p","clinician_id":"`+s.owner+`"}`
	default:
		t.Fatalf("roles.yaml: what is %s?", what)
	}
	body = strings.ReplaceAll(body, "$unique", unique("roles"))
	return want[struct{ ID string }](t, call(t, eve.token(t), "POST", path, body), http.StatusCreated).ID
}
