//go:build acceptance

package acceptance

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

type me struct {
	User struct {
		ID    string `json:"id"`
		Email string `json:"email"`
	} `json:"user"`
	Audience    string       `json:"audience"`
	MFALevel    int          `json:"mfa_level"`
	RealmRoles  []string     `json:"realm_roles"`
	Memberships []membership `json:"memberships"`
}

type membership struct {
	OrgID    string   `json:"org_id"`
	Slug     string   `json:"slug"`
	OrgRoles []string `json:"org_roles"`
	Teams    []struct {
		TeamID    string   `json:"team_id"`
		TeamRoles []string `json:"team_roles"`
	} `json:"teams"`
}

func TestMeSaysWhoIsCalling(t *testing.T) {
	t.Parallel()
	got := want[me](t, call(t, graceApp.token(t), "GET", "/api/v1/me", nil), http.StatusOK)
	if got.User.Email != "grace@acme.test" || got.Audience != "tenantry-app" || got.MFALevel != 1 {
		t.Errorf("got %+v", got)
	}
	// Other tests have her join organisations of theirs.
	inAcme := slices.IndexFunc(got.Memberships, func(m membership) bool { return m.OrgID == acme })
	if inAcme < 0 || got.Memberships[inAcme].Slug != "acme" || !slices.Equal(got.Memberships[inAcme].OrgRoles, []string{"member"}) {
		t.Fatalf("got memberships %+v", got.Memberships)
	}
	if teams := got.Memberships[inAcme].Teams; len(teams) != 1 || !slices.Equal(teams[0].TeamRoles, []string{"lead"}) {
		t.Errorf("got teams %+v", teams)
	}
	if slices.ContainsFunc(got.Memberships, func(m membership) bool { return m.OrgID == globex }) {
		t.Errorf("grace is not of globex, got %+v", got.Memberships)
	}

	withTOTP := graceApp
	withTOTP.mfa = true
	if got := want[me](t, call(t, withTOTP.token(t), "GET", "/api/v1/me", nil), http.StatusOK); got.MFALevel != 2 {
		t.Errorf("with a second factor: mfa_level %d", got.MFALevel)
	}
	platform := want[me](t, call(t, root.token(t), "GET", "/api/v1/me", nil), http.StatusOK)
	if !slices.Contains(platform.RealmRoles, "platform_admin") || platform.Audience != "tenantry-admin" {
		t.Errorf("root: got %+v", platform)
	}
	if platform.Memberships == nil || len(platform.Memberships) != 0 {
		t.Errorf("root belongs nowhere, got %+v", platform.Memberships)
	}
}

type org struct {
	ID, Slug, Name, Status string
	LicenseTier            string `json:"license_tier"`
	Version                int
	CreatedAt              time.Time `json:"created_at"`
}

type list[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor"`
}

func TestPlatformStaffKeepOrganisations(t *testing.T) {
	t.Parallel()
	bearer := root.token(t)
	slug := unique("made")
	made := want[org](t, call(t, bearer, "POST", "/api/v1/admin/orgs", map[string]string{"slug": slug, "name": "Made"}), http.StatusCreated)
	if made.Slug != slug || made.Status != "active" || made.LicenseTier != "free" || made.Version != 1 || made.CreatedAt.IsZero() {
		t.Errorf("got %+v", made)
	}
	read := want[org](t, call(t, bearer, "GET", "/api/v1/admin/orgs/"+made.ID, nil), http.StatusOK)
	if read != made {
		t.Errorf("read %+v, made %+v", read, made)
	}
	wantFailure(t, call(t, bearer, "POST", "/api/v1/admin/orgs", map[string]string{"slug": slug, "name": "Again"}), http.StatusConflict, "already_exists")
	wantFailure(t, call(t, bearer, "GET", "/api/v1/admin/orgs/00000000-0000-7000-8000-00000000dead", nil), http.StatusNotFound, "not_found")

	var seen []string
	for cursor := ""; ; {
		page := want[list[org]](t, call(t, bearer, "GET", "/api/v1/admin/orgs?limit=2&cursor="+cursor, nil), http.StatusOK)
		if len(page.Items) > 2 {
			t.Fatalf("a page of %d, asked for 2", len(page.Items))
		}
		for _, o := range page.Items {
			seen = append(seen, o.ID)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	for _, id := range []string{acme, globex, made.ID} {
		if n := count(seen, id); n != 1 {
			t.Errorf("%s listed %d times", id, n)
		}
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

func TestAnAdministratorReadsTheirOrganisation(t *testing.T) {
	t.Parallel()
	got := want[org](t, call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme, nil), http.StatusOK)
	if got.Slug != "acme" || got.LicenseTier != "enterprise" {
		t.Errorf("got %+v", got)
	}
	license := want[struct {
		Tier  string
		Seats int
	}](t, call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/license", nil), http.StatusOK)
	if license.Tier != "enterprise" || license.Seats != 100 {
		t.Errorf("got %+v", license)
	}
}

type project struct {
	ID, Title, Body, Sensitivity string
	OrgID                        string  `json:"org_id"`
	OwnerID                      string  `json:"owner_id"`
	TeamID                       *string `json:"team_id"`
	PII                          bool
}

func createProject(t *testing.T, c caller, orgID string, edit func(map[string]any)) project {
	t.Helper()
	body := map[string]any{"title": unique("project"), "sensitivity": "internal", "pii": false}
	if edit != nil {
		edit(body)
	}
	return want[project](t, call(t, c.token(t), "POST", "/api/v1/app/orgs/"+orgID+"/projects", body), http.StatusCreated)
}

func projects(t *testing.T, c caller, orgID string) (ids []string) {
	t.Helper()
	for cursor := ""; ; {
		page := want[list[project]](t, call(t, c.token(t), "GET", "/api/v1/app/orgs/"+orgID+"/projects?limit=200&cursor="+cursor, nil), http.StatusOK)
		for _, p := range page.Items {
			if p.OrgID != orgID {
				t.Fatalf("a list of %s holds %+v", orgID, p)
			}
			ids = append(ids, p.ID)
		}
		if cursor = page.NextCursor; cursor == "" {
			return ids
		}
	}
}

func TestMembersKeepProjects(t *testing.T) {
	t.Parallel()
	p := createProject(t, bobApp, acme, func(b map[string]any) { b["body"] = "text" })
	if p.OrgID != acme || p.Body != "text" || p.Sensitivity != "internal" || p.TeamID != nil {
		t.Errorf("got %+v", p)
	}
	path := "/api/v1/app/orgs/" + acme + "/projects/"
	if got := want[project](t, call(t, graceApp.token(t), "GET", path+p.ID, nil), http.StatusOK); got != p {
		t.Errorf("read %+v, made %+v", got, p)
	}
	if n := count(projects(t, graceApp, acme), p.ID); n != 1 {
		t.Errorf("listed %d times", n)
	}
}

func TestAListHoldsWhatItsCallerMayRead(t *testing.T) {
	t.Parallel()
	confidential := createProject(t, bobApp, acme, func(b map[string]any) { b["sensitivity"] = "confidential" })
	path := "/api/v1/app/orgs/" + acme + "/projects/" + confidential.ID
	wantFailure(t, call(t, graceApp.token(t), "GET", path, nil), http.StatusForbidden, "policy_denied")
	if n := count(projects(t, graceApp, acme), confidential.ID); n != 0 {
		t.Errorf("grace may not read it and sees it listed")
	}
	if n := count(projects(t, bobApp, acme), confidential.ID); n != 1 {
		t.Errorf("its owner sees it %d times", n)
	}
	wantFailure(t, call(t, bobApp.token(t), "POST", "/api/v1/app/orgs/"+acme+"/projects",
		map[string]any{"title": "secret", "sensitivity": "restricted", "pii": true}), http.StatusForbidden, "mfa_required")
}

func TestAnotherTenantsProjectDoesNotExist(t *testing.T) {
	t.Parallel()
	theirs := createProject(t, eveApp, globex, nil)
	foreign := wantFailure(t, call(t, bobApp.token(t), "GET", "/api/v1/app/orgs/"+acme+"/projects/"+theirs.ID, nil), http.StatusNotFound, "not_found")
	absent := wantFailure(t, call(t, bobApp.token(t), "GET", "/api/v1/app/orgs/"+acme+"/projects/00000000-0000-7000-8000-00000000dead", nil), http.StatusNotFound, "not_found")
	if foreign.Message != absent.Message || foreign.Code != absent.Code {
		t.Errorf("foreign %+v differs from absent %+v", foreign, absent)
	}
	// The organisation itself looks absent to those outside it.
	outside := wantFailure(t, call(t, graceApp.token(t), "GET", "/api/v1/app/orgs/"+globex+"/projects", nil), http.StatusNotFound, "not_found")
	nowhere := wantFailure(t, call(t, graceApp.token(t), "GET", "/api/v1/app/orgs/00000000-0000-7000-8000-00000000dead/projects", nil), http.StatusNotFound, "not_found")
	if outside.Message != nowhere.Message {
		t.Errorf("%q differs from %q", outside.Message, nowhere.Message)
	}
	if slices.Contains(projects(t, bobApp, acme), theirs.ID) {
		t.Error("a foreign project is listed")
	}
}

type auditEvent struct {
	ID         string
	Action     string
	Actor      struct{ ID, Type string }
	Resource   struct{ Kind, ID string }
	Outcome    string
	RequestID  string `json:"request_id"`
	DecisionID string `json:"decision_id"`
}

func auditOf(t *testing.T, resource string) []auditEvent {
	t.Helper()
	return want[list[auditEvent]](t, call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/audit/events?resource="+resource, nil), http.StatusOK).Items
}

func TestAChangeIsInTheAuditLogOnce(t *testing.T) {
	t.Parallel()
	const requestID = "acceptance-audit"
	body := map[string]any{"title": unique("audited"), "sensitivity": "internal", "pii": false}
	p := want[project](t, call(t, bobApp.token(t), "POST", "/api/v1/app/orgs/"+acme+"/projects", body,
		func(r *http.Request) { r.Header.Set("X-Request-ID", requestID) }), http.StatusCreated)
	var events []auditEvent
	eventually(t, 20*time.Second, "the event is in the log", func() bool {
		events = auditOf(t, p.ID)
		return len(events) > 0
	})
	e := events[0]
	if len(events) != 1 || e.Action != "create" || e.Outcome != "succeeded" || e.Resource.Kind != "project" ||
		e.Actor.ID != p.OwnerID || e.Actor.Type != "user" || e.RequestID != requestID || e.DecisionID == "" {
		t.Errorf("got %+v", events)
	}
	one := want[auditEvent](t, call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/audit/events/"+e.ID, nil), http.StatusOK)
	if one != e {
		t.Errorf("read %+v, listed %+v", one, e)
	}
	wantFailure(t, call(t, eveOrg.token(t), "GET", "/api/v1/org/"+globex+"/audit/events/"+e.ID, nil), http.StatusNotFound, "not_found")
}

func TestADenialIsInTheAuditLogOnce(t *testing.T) {
	t.Parallel()
	p := createProject(t, bobApp, acme, func(b map[string]any) { b["sensitivity"] = "confidential" })
	wantFailure(t, call(t, graceApp.token(t), "GET", "/api/v1/app/orgs/"+acme+"/projects/"+p.ID, nil), http.StatusForbidden, "policy_denied")
	eventually(t, 20*time.Second, "the denial is in the log", func() bool {
		denied := 0
		for _, e := range auditOf(t, p.ID) {
			if e.Outcome == "denied" && e.Action == "read" {
				denied++
			}
		}
		if denied > 1 {
			t.Fatalf("%d events for one denial", denied)
		}
		return denied == 1
	})
}

func TestCheckTellsAUserInterfaceWhatItMayShow(t *testing.T) {
	t.Parallel()
	body := map[string]any{"checks": []any{
		map[string]any{"resource": map[string]any{"kind": "project", "org_id": acme, "attr": map[string]any{"sensitivity": "internal"}}, "actions": []string{"read", "delete"}},
		map[string]any{"resource": map[string]any{"kind": "project", "org_id": globex}, "actions": []string{"read"}},
	}}
	got := want[struct {
		Results []struct {
			Actions    map[string]string
			DecisionID string `json:"decision_id"`
			Reasons    []string
		}
	}](t, call(t, graceApp.token(t), "POST", "/api/v1/authz/check", body), http.StatusOK)
	if len(got.Results) != 2 {
		t.Fatalf("got %+v", got)
	}
	own, foreign := got.Results[0], got.Results[1]
	if own.Actions["read"] != "allow" || own.Actions["delete"] != "deny" || own.DecisionID == "" {
		t.Errorf("own: %+v", own)
	}
	if foreign.Actions["read"] != "deny" || !slices.Contains(foreign.Reasons, "not_a_member") {
		t.Errorf("foreign: %+v", foreign)
	}
}

func TestCheckAnswersOrRefusesWhateverItIsAsked(t *testing.T) {
	t.Parallel()
	ask := func(resource, actions string) reply {
		return call(t, adaApp.token(t), "POST", "/api/v1/authz/check", `{"checks":[{"resource":`+resource+`,"actions":`+actions+`}]}`)
	}
	for _, resource := range []string{
		`{"kind":"patient_record","org_id":"` + acme + `"}`,
		`{"kind":"membership","org_id":"` + acme + `"}`,
		`{"kind":"invitation","org_id":"` + acme + `","attr":{"org_roles":["member"]}}`,
		`{"kind":"api_key"}`,
		`{"kind":"doc","org_id":"` + strings.ToUpper(acme) + `","attr":{"sensitivity":"internal"}}`,
	} {
		if r := ask(resource, `["read","read","list"]`); r.status != http.StatusOK {
			t.Errorf("%s: got %d %s", resource, r.status, r.body)
		}
	}
	for _, resource := range []string{
		`{"kind":"starship"}`, `{"kind":"project","org_id":"x"}`, `{"kind":"project","attr":[]}`,
		`{"kind":"project","attr":{"pii":"yes"}}`, `{"kind":"project","attr":{"sensitivity":"cosmic"}}`,
		`{"kind":"project","attr":{"clinician_id":"x"}}`, `{"kind":"patient_record","attr":{"clinician_id":7}}`,
		`{"kind":"membership","attr":{"org_roles":"owner"}}`, `{"kind":"membership","attr":{"org_roles":["king"]}}`,
		`{"kind":"membership","attr":{"org_roles":[7]}}`,
	} {
		wantFailure(t, ask(resource, `["read"]`), http.StatusBadRequest, "validation_failed")
	}
	wantFailure(t, ask(`{"kind":"project"}`, `["fly"]`), http.StatusBadRequest, "validation_failed")
	wantFailure(t, ask(`{"kind":"project"}`, `[]`), http.StatusBadRequest, "validation_failed")
}

func TestOperatorsSeeThatItIsReady(t *testing.T) {
	t.Parallel()
	ready := want[struct {
		Status string
		Parts  map[string]struct {
			Status   string
			Required bool
		}
	}](t, call(t, "", "GET", "/readyz", nil), http.StatusOK)
	for _, part := range []string{"postgres", "redis", "rabbitmq", "cerbos", "oidc"} {
		if ready.Parts[part].Status != "ready" {
			t.Errorf("%s: %+v", part, ready.Parts[part])
		}
	}
	if ready.Status != "ready" || !ready.Parts["postgres"].Required {
		t.Errorf("got %+v", ready)
	}
	if r := call(t, "", "GET", "/healthz", nil); r.status != http.StatusOK {
		t.Errorf("healthz: %d %s", r.status, r.body)
	}
	r := call(t, "", "GET", "/metrics", nil)
	if r.status != http.StatusOK || !strings.Contains(string(r.body), "tenantry_request_duration_seconds_bucket") {
		t.Errorf("metrics: %d, %d bytes", r.status, len(r.body))
	}
}

func TestEveryAnswerCarriesItsHeaders(t *testing.T) {
	t.Parallel()
	answers := []reply{call(t, bobApp.token(t), "GET", "/api/v1/me", nil), call(t, "", "GET", "/api/v1/me", nil)}
	if stockHost { // on a route that does not exist, Encore names no request
		answers = append(answers, call(t, bobApp.token(t), "GET", "/api/v1/nothing/here", nil))
	}
	for _, r := range answers {
		if r.header.Get("X-Request-ID") == "" || r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%d: got %v", r.status, r.header)
		}
	}
	if !stockHost { // what Encore answers before the app's middleware has only Encore's headers
		answers = answers[:1]
	}
	for _, r := range answers {
		for _, h := range []string{"Cache-Control", "Content-Security-Policy", "Referrer-Policy"} {
			if r.header.Get(h) == "" {
				t.Errorf("%d: no %s", r.status, h)
			}
		}
	}
}
