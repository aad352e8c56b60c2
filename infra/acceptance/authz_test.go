//go:build acceptance

package acceptance

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// explanation is what is kept of a decision.
type explanation struct {
	DecisionID string `json:"decision_id"`
	Items      []struct {
		OrgID     string `json:"org_id"`
		Principal struct {
			ID    string         `json:"id"`
			Roles []string       `json:"roles"`
			Attr  map[string]any `json:"attr"`
		} `json:"principal"`
		Resource struct {
			Kind string         `json:"kind"`
			ID   string         `json:"id"`
			Attr map[string]any `json:"attr"`
		} `json:"resource"`
		Action  string   `json:"action"`
		Effect  string   `json:"effect"`
		Reasons []string `json:"reasons"`
		Policy  string   `json:"policy"`
		Rules   []string `json:"rules"`
		Digest  string   `json:"digest"`
	} `json:"items"`
}

// A denial names its decision, and the decision can be explained: what was asked, which guardrail
// spoke, under which policies; and nothing that names a person.
func TestADenialIsExplained(t *testing.T) {
	t.Parallel()
	body := map[string]any{"title": unique("secret"), "sensitivity": "restricted", "pii": false}
	r := call(t, bobApp.token(t), "POST", "/api/v1/app/orgs/"+acme+"/projects", body)
	wantFailure(t, r, http.StatusForbidden, "mfa_required")
	denial := want[struct {
		Details struct {
			DecisionID string `json:"decision_id"`
		} `json:"details"`
	}](t, r, http.StatusForbidden)
	path := "/api/v1/admin/decisions/" + denial.Details.DecisionID
	answer := call(t, root.token(t), "GET", path, nil)
	got := want[explanation](t, answer, http.StatusOK)
	if len(got.Items) == 0 || got.DecisionID != denial.Details.DecisionID {
		t.Fatalf("got %s", answer.body)
	}
	d := got.Items[0]
	if d.OrgID != acme || d.Effect != "deny" || d.Action != "create" || d.Resource.Kind != "project" ||
		d.Resource.Attr["sensitivity"] != "restricted" || d.Principal.Attr["mfa_level"] != 1.0 || len(d.Reasons) != 1 || d.Reasons[0] != "mfa_required" {
		t.Errorf("got %s", answer.body)
	}
	if len(d.Rules) != 1 || !strings.HasSuffix(d.Rules[0], "#sensitive") || len(d.Digest) < 64 {
		t.Errorf("got %s", answer.body)
	}
	if strings.Contains(string(answer.body), "@acme") || strings.Contains(string(answer.body), body["title"].(string)) {
		t.Errorf("it names somebody or something: %s", answer.body)
	}
}

// What was allowed is explained too, once an event tells of it.
func TestAChangeIsExplained(t *testing.T) {
	t.Parallel()
	body := map[string]any{"title": "explained", "sensitivity": "internal", "pii": false}
	p := want[project](t, call(t, adaApp.token(t), "POST", "/api/v1/app/orgs/"+acme+"/projects", body), http.StatusCreated)
	var id string
	eventually(t, 30*time.Second, "its event", func() bool {
		r := call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/audit/events?action=create&resource="+p.ID, nil)
		events := want[list[struct {
			DecisionID string `json:"decision_id"`
		}]](t, r, http.StatusOK)
		if len(events.Items) == 1 {
			id = events.Items[0].DecisionID
		}
		return id != ""
	})
	answer := call(t, root.token(t), "GET", "/api/v1/admin/decisions/"+id, nil)
	got := want[explanation](t, answer, http.StatusOK)
	for _, d := range got.Items {
		if d.Effect == "allow" && d.Action == "create" && d.Policy == "resource.project.vdefault" {
			return
		}
	}
	t.Errorf("got %s", answer.body)
}

func TestPoliciesInForce(t *testing.T) {
	t.Parallel()
	r := call(t, root.token(t), "GET", "/api/v1/admin/policies", nil)
	got := want[struct {
		Version  string
		Digest   string
		Policies []string
		PDP      struct {
			Healthy bool
			Version string
		}
	}](t, r, http.StatusOK)
	if got.Version == "" || len(got.Digest) < 64 || len(got.Policies) != 17 || !got.PDP.Healthy || got.PDP.Version == "" {
		t.Errorf("got %s", r.body)
	}
}

func TestInvalidationIsForOneSubject(t *testing.T) {
	t.Parallel()
	const path = "/api/v1/admin/authz/cache/invalidate"
	for name, body := range map[string]map[string]any{
		"nothing":  {},
		"two":      {"org_id": acme, "all": true},
		"no uuid":  {"user_id": "bob"},
		"nil uuid": {"org_id": "00000000-0000-0000-0000-000000000000"},
	} {
		if r := call(t, root.token(t), "POST", path, body); r.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", name, r.status, r.body)
		}
	}
	for _, body := range []map[string]any{{"org_id": acme}, {"user_id": acme}, {"all": true}} {
		if r := call(t, root.token(t), "POST", path, body); r.status/100 != 2 {
			t.Errorf("%v: got %d %s", body, r.status, r.body)
		}
	}
}
