//go:build acceptance

package acceptance

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// checked is an answer of authz/check.
type checked struct {
	Actions       map[string]string `json:"actions"`
	DecisionID    string            `json:"decision_id"`
	PolicyVersion string            `json:"policy_version"`
	Reasons       []string          `json:"reasons"`
}

// checks asks about one resource.
func checks(t *testing.T, bearer string, resource map[string]any, actions ...string) checked {
	t.Helper()
	body := map[string]any{"checks": []any{map[string]any{"resource": resource, "actions": actions}}}
	got := want[struct{ Results []checked }](t, call(t, bearer, "POST", "/api/v1/authz/check", body), http.StatusOK)
	if len(got.Results) != 1 || got.Results[0].DecisionID == "" || len(got.Results[0].PolicyVersion) < 64 {
		t.Fatalf("got %+v", got)
	}
	return got.Results[0]
}

func (c checked) wants(t *testing.T, what, effect string, reasons ...string) {
	t.Helper()
	for action, got := range c.Actions {
		if got != effect {
			t.Errorf("%s: %s is %s, want %s (%v)", what, action, got, effect, c.Reasons)
		}
	}
	if !slices.Equal(c.Reasons, reasons) {
		t.Errorf("%s: for %v, want %v", what, c.Reasons, reasons)
	}
}

// whoIs is a demo user's id.
func whoIs(t *testing.T, name string) string {
	t.Helper()
	return want[list[user]](t, call(t, root.token(t), "GET", "/api/v1/admin/users?query="+name+"@", nil), http.StatusOK).Items[0].ID
}

// What the asker says of a resource that is there counts for nothing: the answer is that of the
// endpoints.
func TestCheckKnowsWhatIsStored(t *testing.T) {
	t.Parallel()
	bob := whoIs(t, "bob")
	project := func(c caller, org, sensitivity string) string {
		body := map[string]any{"title": unique("checked"), "sensitivity": sensitivity, "pii": false}
		return want[struct{ ID string }](t, call(t, c.token(t), "POST", "/api/v1/app/orgs/"+org+"/projects", body), http.StatusCreated).ID
	}
	secret, own := project(adaApp, acme, "confidential"), project(bobApp, acme, "internal")
	foreign := project(eveApp, globex, "internal")
	wantFailure(t, call(t, bobApp.token(t), "GET", "/api/v1/app/orgs/"+acme+"/projects/"+secret, nil), http.StatusForbidden, "policy_denied")
	spoofed := map[string]any{"owner_id": bob, "sensitivity": "public", "pii": false, "team_id": "", "org_status": "active", "license_tier": "enterprise"}
	bearer := bobApp.token(t)

	checks(t, bearer, map[string]any{"kind": "project", "id": own, "org_id": acme}, "read", "update", "delete").wants(t, "their own", "allow")
	checks(t, bearer, map[string]any{"kind": "project", "id": strings.ToUpper(own)}, "update").wants(t, "their own, wherever it is", "allow")
	checks(t, bearer, map[string]any{"kind": "project", "id": secret, "org_id": acme, "attr": spoofed}, "read", "update", "delete").
		wants(t, "somebody's secret", "deny", "policy_denied")
	checks(t, bearer, map[string]any{"kind": "project", "id": secret, "attr": spoofed}, "read").wants(t, "somebody's secret, wherever it is", "deny", "policy_denied")
	checks(t, bearer, map[string]any{"kind": "project", "org_id": acme, "attr": map[string]any{"sensitivity": "internal"}}, "read").wants(t, "a draft", "allow")
	checks(t, bearer, map[string]any{"kind": "project", "id": "draft", "org_id": acme, "attr": map[string]any{"sensitivity": "internal"}}, "read").
		wants(t, "a draft with a name", "allow")

	// What another organisation has looks like what nobody has, whatever is said of it.
	nobodys := uuid.NewString()
	for name, of := range map[string]struct {
		who caller
		in  map[string]any
	}{
		"said to be ours":     {adaApp, map[string]any{"org_id": acme}},
		"said to be theirs":   {adaApp, map[string]any{"org_id": globex}},
		"not said whose":      {adaApp, map[string]any{}},
		"in another console":  {adaOrg, map[string]any{"org_id": acme}},
		"a stranger's":        {mallory, map[string]any{"org_id": acme}},
		"for platform staff":  {root, map[string]any{"org_id": acme}},
		"as another document": {graceApp, map[string]any{"org_id": acme, "kind": "doc"}},
	} {
		var seen []checked
		for _, id := range []string{foreign, nobodys} {
			resource := map[string]any{"kind": "project", "id": id, "attr": spoofed}
			for k, v := range of.in {
				resource[k] = v
			}
			got := checks(t, of.who.token(t), resource, "read", "update")
			if got.Actions["read"] != "deny" || got.Actions["update"] != "deny" {
				t.Errorf("%s: %v", name, got)
			}
			seen = append(seen, got)
		}
		if !slices.Equal(seen[0].Reasons, seen[1].Reasons) {
			t.Errorf("%s: %v tells that it is there, %v that it is not", name, seen[0].Reasons, seen[1].Reasons)
		}
	}
	checks(t, adaApp.token(t), map[string]any{"kind": "project", "id": foreign, "org_id": acme}, "read", "update").wants(t, "theirs", "deny", "not_found")
	checks(t, mallory.token(t), map[string]any{"kind": "project", "id": own, "org_id": acme}, "read").wants(t, "a stranger", "deny", "not_a_member")
}

// Roles, teams and statuses are those that are stored as well.
func TestCheckKnowsWhoAndWhatStandsBehindAnID(t *testing.T) {
	t.Parallel()
	ada := whoIs(t, "ada")
	alan, graceOrg := caller{user: "alan@acme.test", client: "org-console"}, caller{user: "grace@acme.test", client: "org-console"}
	meek := map[string]any{"org_roles": []string{"member"}}
	checks(t, alan.token(t), map[string]any{"kind": "membership", "id": ada, "org_id": acme, "attr": meek}, "membership:change_roles", "delete").
		wants(t, "an owner, said to be a member", "deny", "policy_denied")
	checks(t, adaOrg.token(t), map[string]any{"kind": "membership", "id": ada, "org_id": acme, "attr": meek}, "membership:change_roles").wants(t, "for an owner", "allow")

	teams := want[list[struct{ ID, Name string }]](t, call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/teams?limit=200", nil), http.StatusOK).Items
	led := teams[slices.IndexFunc(teams, func(x struct{ ID, Name string }) bool { return x.Name == "cardiology" })].ID
	other := want[struct{ ID string }](t, call(t, adaOrg.token(t), "POST", "/api/v1/org/"+acme+"/teams", map[string]any{"name": unique("team")}), http.StatusCreated).ID
	checks(t, graceOrg.token(t), map[string]any{"kind": "team", "id": led, "org_id": acme}, "update").wants(t, "the team she leads", "allow")
	checks(t, graceOrg.token(t), map[string]any{"kind": "team", "id": other, "org_id": acme, "attr": map[string]any{"team_id": led}}, "update").
		wants(t, "another team, said to be that", "deny", "policy_denied")

	suspended := map[string]any{"org_status": "suspended"}
	checks(t, rootMFA.token(t), map[string]any{"kind": "org", "id": acme, "org_id": globex, "attr": suspended}, "delete").
		wants(t, "an organisation said to be suspended", "deny", "policy_denied")
	checks(t, rootMFA.token(t), map[string]any{"kind": "org", "id": acme}, "org:suspend").wants(t, "an organisation", "allow")
	checks(t, rootMFA.token(t), map[string]any{"kind": "org", "id": uuid.NewString()}, "org:suspend").wants(t, "no organisation", "deny", "not_found")
	// A console of the platform's is no way into an organisation for those who are not its staff.
	checks(t, caller{user: "ada@acme.test", client: "admin-console"}.token(t), map[string]any{"kind": "org", "id": acme}, "read", "update").
		wants(t, "an owner in the platform's console", "deny", "not_a_member")
}

func TestCheckIsBounded(t *testing.T) {
	t.Parallel()
	one := `{"resource":{"kind":"project","org_id":"` + acme + `"},"actions":["read"]}`
	many := func(n int) string { return `{"checks":[` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]}` }
	if r := call(t, adaApp.token(t), "POST", "/api/v1/authz/check", many(50)); r.status != http.StatusOK {
		t.Errorf("fifty: %d %s", r.status, r.body)
	}
	actions := strings.TrimSuffix(strings.Repeat(`"read",`, 51), ",")
	for body, field := range map[string]string{
		many(51):          "checks",
		`{"checks":[]}`:   "checks",
		`{}`:              "checks",
		`{"checks":[{}]}`: "checks[0].resource.kind",
		`{"checks":[` + one + `,{"resource":{"kind":"starship"},"actions":["read"]}]}`:          "checks[1].resource.kind",
		`{"checks":[{"resource":{"kind":"project"},"actions":["fly"]}]}`:                        "checks[0].actions",
		`{"checks":[{"resource":{"kind":"project"},"actions":[` + actions + `]}]}`:              "checks[0].actions",
		`{"checks":[{"resource":{"kind":"project","attr":{"org_id":"x"}},"actions":["read"]}]}`: "checks[0].resource.attr",
	} {
		r := call(t, adaApp.token(t), "POST", "/api/v1/authz/check", body)
		f := wantFailure(t, r, http.StatusBadRequest, "validation_failed")
		if len(f.Details.Fields) == 0 || f.Details.Fields[0].Field != field {
			t.Errorf("%s…: got %+v, want %s named", body[:min(len(body), 80)], f.Details.Fields, strconv.Quote(field))
		}
	}
}
