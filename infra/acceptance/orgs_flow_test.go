//go:build acceptance

package acceptance

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

var (
	bobOrg     = caller{user: "bob@acme.test", client: "org-console"}
	malloryOrg = caller{user: "mallory@nowhere.test", client: "org-console"}
	alanApp    = caller{user: "alan@acme.test", client: "app"}
	bobAppMFA  = caller{user: "bob@acme.test", client: "app", mfa: true}
	graceMFA   = caller{user: "grace@acme.test", client: "app", mfa: true}
	eveAppMFA  = caller{user: "eve@globex.test", client: "app", mfa: true}
)

const cardiology = "00000000-0000-7000-8000-0000000ca4d1"

type invitation struct {
	ID, Email, Status, Token string
	OrgRoles                 []string `json:"org_roles"`
	TeamIDs                  []string `json:"team_ids"`
}

type member struct {
	UserID   string   `json:"user_id"`
	Email    string   `json:"email"`
	OrgRoles []string `json:"org_roles"`
	Version  int      `json:"version"`
	Teams    []struct {
		TeamID    string   `json:"team_id"`
		TeamRoles []string `json:"team_roles"`
	} `json:"teams"`
}

// tenant makes an organisation of a test's own, with eve as its owner.
func tenant(t *testing.T) org {
	t.Helper()
	o := want[org](t, call(t, root.token(t), "POST", "/api/v1/admin/orgs", map[string]string{"slug": unique("flow"), "name": "Flow"}), http.StatusCreated)
	i := want[invitation](t, call(t, rootMFA.token(t), "POST", "/api/v1/admin/orgs/"+o.ID+"/invitations",
		map[string]any{"email": "Eve@Globex.test", "org_roles": []string{"owner"}}), http.StatusCreated)
	accept(t, eveApp, i)
	return o
}

func invite(t *testing.T, c caller, orgID string, body map[string]any) invitation {
	t.Helper()
	i := want[invitation](t, call(t, c.token(t), "POST", "/api/v1/org/"+orgID+"/invitations", body), http.StatusCreated)
	if i.Token == "" || i.Status != "pending" {
		t.Fatalf("got %+v", i)
	}
	return i
}

func accept(t *testing.T, c caller, i invitation) {
	t.Helper()
	want[struct{}](t, call(t, c.token(t), "POST", "/api/v1/app/invitations/accept", map[string]string{"token": i.Token}), http.StatusOK)
}

func idOf(t *testing.T, c caller) string {
	t.Helper()
	return want[me](t, call(t, c.token(t), "GET", "/api/v1/me", nil), http.StatusOK).User.ID
}

func ok(t *testing.T, r reply) {
	t.Helper()
	if r.status != http.StatusOK && r.status != http.StatusNoContent {
		t.Fatalf("got %d %s", r.status, r.body)
	}
}

func TestAMembershipFromInvitationToRemoval(t *testing.T) {
	t.Parallel()
	o := tenant(t)
	base := "/api/v1/org/" + o.ID
	team := want[struct{ ID, Name string }](t, call(t, eveOrg.token(t), "POST", base+"/teams", map[string]string{"name": "radiology"}), http.StatusCreated)
	i := invite(t, eveOrg, o.ID, map[string]any{"email": "Mallory@Nowhere.TEST", "org_roles": []string{"member"}, "team_ids": []string{team.ID}})
	if i.Email != "mallory@nowhere.test" || !slices.Equal(i.TeamIDs, []string{team.ID}) {
		t.Errorf("got %+v", i)
	}

	// Until she accepts, the organisation does not exist for her; nobody else can accept.
	wantFailure(t, call(t, malloryOrg.token(t), "GET", base, nil), http.StatusNotFound, "not_found")
	wantFailure(t, call(t, bobApp.token(t), "POST", "/api/v1/app/invitations/accept", map[string]string{"token": i.Token}), http.StatusNotFound, "not_found")
	accept(t, mallory, i)
	wantFailure(t, call(t, mallory.token(t), "POST", "/api/v1/app/invitations/accept", map[string]string{"token": i.Token}), http.StatusNotFound, "not_found")

	id := idOf(t, mallory)
	got := want[member](t, call(t, malloryOrg.token(t), "GET", base+"/members/"+id, nil), http.StatusOK)
	if got.Email != "mallory@nowhere.test" || !slices.Equal(got.OrgRoles, []string{"member"}) || len(got.Teams) != 1 || got.Teams[0].TeamID != team.ID {
		t.Errorf("got %+v", got)
	}
	own := want[list[org]](t, call(t, mallory.token(t), "GET", "/api/v1/app/orgs", nil), http.StatusOK)
	if !slices.ContainsFunc(own.Items, func(have org) bool { return have.ID == o.ID }) {
		t.Errorf("her organisations: %+v", own.Items)
	}

	// A role counts with the next request.
	wantFailure(t, call(t, malloryOrg.token(t), "GET", base+"/invitations", nil), http.StatusForbidden, "policy_denied")
	raised := call(t, eveOrg.token(t), "PATCH", base+"/members/"+id, map[string]any{"org_roles": []string{"admin", "member"}},
		ifMatch(`"1"`))
	if got := want[member](t, raised, http.StatusOK); got.Version != 2 || raised.header.Get("ETag") != `"2"` {
		t.Errorf("got %+v, ETag %s", got, raised.header.Get("ETag"))
	}
	wantFailure(t, call(t, eveOrg.token(t), "PATCH", base+"/members/"+id, map[string]any{"org_roles": []string{"guest"}}, ifMatch(`"1"`)),
		http.StatusPreconditionFailed, "version_conflict")
	page := want[list[invitation]](t, call(t, malloryOrg.token(t), "GET", base+"/invitations", nil), http.StatusOK)
	for _, listed := range page.Items {
		if listed.Token != "" || listed.Status != "accepted" {
			t.Errorf("listed %+v", listed)
		}
	}

	// An administrator is no owner: she cannot make one, unmake one, or invite one.
	eve := idOf(t, eveApp)
	wantFailure(t, call(t, malloryOrg.token(t), "PATCH", base+"/members/"+id, map[string]any{"org_roles": []string{"owner"}}), http.StatusForbidden, "policy_denied")
	wantFailure(t, call(t, malloryOrg.token(t), "PATCH", base+"/members/"+eve, map[string]any{"org_roles": []string{"member"}}), http.StatusForbidden, "policy_denied")
	wantFailure(t, call(t, malloryOrg.token(t), "DELETE", base+"/members/"+eve, nil), http.StatusForbidden, "policy_denied")
	wantFailure(t, call(t, malloryOrg.token(t), "POST", base+"/invitations", map[string]any{"email": "x@y.test", "org_roles": []string{"owner"}}), http.StatusForbidden, "policy_denied")

	// The last owner stays and stays one.
	wantFailure(t, call(t, eveOrg.token(t), "PATCH", base+"/members/"+eve, map[string]any{"org_roles": []string{"admin"}}), http.StatusBadRequest, "last_owner")
	wantFailure(t, call(t, eveOrg.token(t), "DELETE", base+"/members/"+eve, nil), http.StatusBadRequest, "last_owner")

	ok(t, call(t, eveOrg.token(t), "DELETE", base+"/members/"+id, nil))
	wantFailure(t, call(t, malloryOrg.token(t), "GET", base, nil), http.StatusNotFound, "not_found")
	wantFailure(t, call(t, eveOrg.token(t), "GET", base+"/members/"+id, nil), http.StatusNotFound, "not_found")
}

func TestAnInvitationEnds(t *testing.T) {
	t.Parallel()
	o := tenant(t)
	base := "/api/v1/org/" + o.ID + "/invitations"
	body := map[string]any{"email": "mallory@nowhere.test", "org_roles": []string{"guest"}}
	refused := func(what, token string) {
		t.Helper()
		r := call(t, mallory.token(t), "POST", "/api/v1/app/invitations/accept", map[string]string{"token": token})
		f := wantFailure(t, r, http.StatusNotFound, "not_found")
		if unknown := call(t, mallory.token(t), "POST", "/api/v1/app/invitations/accept", map[string]string{"token": "tinv_x"}); f.Message != want[failure](t, unknown, http.StatusNotFound).Message {
			t.Errorf("%s differs from unknown: %q", what, f.Message)
		}
	}
	first := invite(t, eveOrg, o.ID, body)
	second := invite(t, eveOrg, o.ID, body)
	refused("superseded", first.Token)
	resent := want[invitation](t, call(t, eveOrg.token(t), "POST", base+"/"+second.ID+"/resend", nil), http.StatusOK)
	if resent.ID != second.ID || resent.Token == second.Token || resent.Token == "" {
		t.Errorf("got %+v", resent)
	}
	refused("resent", second.Token)
	refused("garbled", resent.Token[:len(resent.Token)-2]+"xx")
	ok(t, call(t, eveOrg.token(t), "DELETE", base+"/"+second.ID, nil))
	refused("revoked", resent.Token)
	wantFailure(t, call(t, eveOrg.token(t), "DELETE", base+"/"+second.ID, nil), http.StatusNotFound, "not_found")
	wantFailure(t, call(t, eveOrg.token(t), "POST", base+"/"+second.ID+"/resend", nil), http.StatusNotFound, "not_found")

	for name, bad := range map[string]string{
		"no address": `{"org_roles":["member"]}`, "not an address": `{"email":"x","org_roles":["member"]}`,
		"a display name": `{"email":"X <x@y.test>","org_roles":["member"]}`, "no roles": `{"email":"x@y.test"}`,
		"no role": `{"email":"x@y.test","org_roles":[]}`, "unknown role": `{"email":"x@y.test","org_roles":["king"]}`,
		"twice":          `{"email":"x@y.test","org_roles":["member","member"]}`,
		"a foreign team": `{"email":"x@y.test","org_roles":["member"],"team_ids":["` + cardiology + `"]}`,
	} {
		if r := call(t, eveOrg.token(t), "POST", base, bad); r.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", name, r.status, r.body)
		}
	}
}

func TestSeatsAreTheLicences(t *testing.T) {
	t.Parallel()
	o := tenant(t) // one seat is eve's
	licence := map[string]any{"tier": "free", "feature_flags": map[string]bool{}, "seats": 3}
	ok(t, call(t, rootMFA.token(t), "PUT", "/api/v1/admin/orgs/"+o.ID+"/license", licence,
		func(r *http.Request) { r.Header.Set("Idempotency-Key", unique("seats")) }))
	for _, c := range []caller{bobApp, graceApp} {
		i := invite(t, eveOrg, o.ID, map[string]any{"email": c.user, "org_roles": []string{"member"}})
		accept(t, c, i)
		wantFailure(t, call(t, c.token(t), "POST", "/api/v1/app/invitations/accept", map[string]string{"token": i.Token}), http.StatusNotFound, "not_found")
	}
	i := invite(t, eveOrg, o.ID, map[string]any{"email": mallory.user, "org_roles": []string{"member"}})
	wantFailure(t, call(t, mallory.token(t), "POST", "/api/v1/app/invitations/accept", map[string]string{"token": i.Token}), http.StatusBadRequest, "seat_limit")
	ok(t, call(t, bobOrg.token(t), "DELETE", "/api/v1/org/"+o.ID+"/members/"+idOf(t, bobApp), nil)) // everybody may leave
	accept(t, mallory, i)
}

func TestASuspendedOrganisationIsReadOnly(t *testing.T) {
	t.Parallel()
	o := tenant(t)
	i := invite(t, eveOrg, o.ID, map[string]any{"email": mallory.user, "org_roles": []string{"member"}})
	p := createProject(t, eveApp, o.ID, nil)
	suspended := want[org](t, call(t, rootMFA.token(t), "POST", "/api/v1/admin/orgs/"+o.ID+"/suspend?reason=unpaid", nil), http.StatusOK)
	if suspended.Status != "suspended" {
		t.Errorf("got %+v", suspended)
	}
	path := "/api/v1/app/orgs/" + o.ID + "/projects"
	want[project](t, call(t, eveApp.token(t), "GET", path+"/"+p.ID, nil), http.StatusOK)
	for _, r := range []reply{
		call(t, eveApp.token(t), "POST", path, map[string]any{"title": "x", "sensitivity": "internal", "pii": false}),
		call(t, eveApp.token(t), "PATCH", path+"/"+p.ID, map[string]any{"title": "x"}),
		call(t, eveApp.token(t), "DELETE", path+"/"+p.ID, nil),
		call(t, eveOrg.token(t), "PATCH", "/api/v1/org/"+o.ID, map[string]any{"name": "x"}),
		call(t, eveOrg.token(t), "POST", "/api/v1/org/"+o.ID+"/teams", map[string]any{"name": "x"}),
		call(t, eveOrg.token(t), "POST", "/api/v1/org/"+o.ID+"/invitations", map[string]any{"email": "x@y.test", "org_roles": []string{"member"}}),
		call(t, mallory.token(t), "POST", "/api/v1/app/invitations/accept", map[string]string{"token": i.Token}),
	} {
		wantFailure(t, r, http.StatusForbidden, "org_suspended")
	}
	if got := want[me](t, call(t, eveApp.token(t), "GET", "/api/v1/me", nil), http.StatusOK); !slices.ContainsFunc(got.Memberships, func(m membership) bool {
		return m.OrgID == o.ID
	}) {
		t.Errorf("/me does not list it: %+v", got.Memberships)
	}
	want[org](t, call(t, rootMFA.token(t), "POST", "/api/v1/admin/orgs/"+o.ID+"/reactivate", nil), http.StatusOK)
	again := want[org](t, call(t, rootMFA.token(t), "POST", "/api/v1/admin/orgs/"+o.ID+"/reactivate", nil), http.StatusOK)
	if again.Status != "active" || again.Version != suspended.Version+1 {
		t.Errorf("got %+v", again)
	}
	accept(t, mallory, i)
}

func TestOrganisationsAreRenamed(t *testing.T) {
	t.Parallel()
	o := tenant(t)
	path := "/api/v1/org/" + o.ID
	read := call(t, eveOrg.token(t), "GET", path, nil)
	renamed := want[org](t, call(t, eveOrg.token(t), "PATCH", path, map[string]string{"name": "Renamed"}, ifMatch(read.header.Get("ETag"))), http.StatusOK)
	if renamed.Name != "Renamed" || renamed.Slug != o.Slug {
		t.Errorf("got %+v", renamed)
	}
	wantFailure(t, call(t, eveOrg.token(t), "PATCH", path, map[string]string{"name": "Late"}, ifMatch(read.header.Get("ETag"))), http.StatusPreconditionFailed, "version_conflict")
	wantFailure(t, call(t, eveOrg.token(t), "PATCH", path, map[string]string{"name": "Late"}, ifMatch("nonsense")), http.StatusBadRequest, "validation_failed")
	for _, field := range []string{"slug", "status", "license_tier", "feature_flags", "seats", "id"} {
		r := call(t, eveOrg.token(t), "PATCH", path, `{"name":"Renamed","`+field+`":"enterprise"}`)
		if r.status == http.StatusBadRequest {
			continue
		}
		if got := want[org](t, r, http.StatusOK); got.Slug != o.Slug || got.Status != "active" || got.LicenseTier != "free" || got.ID != o.ID {
			t.Errorf("%s was bound: %+v", field, got)
		}
	}
	admin := "/api/v1/admin/orgs/" + o.ID
	slug := unique("moved")
	if got := want[org](t, call(t, root.token(t), "PATCH", admin, map[string]string{"slug": slug}), http.StatusOK); got.Slug != slug || got.Name != "Renamed" {
		t.Errorf("got %+v", got)
	}
	wantFailure(t, call(t, root.token(t), "PATCH", admin, map[string]string{"slug": "acme"}), http.StatusConflict, "already_exists")
	wantFailure(t, call(t, root.token(t), "PATCH", admin, map[string]string{}), http.StatusBadRequest, "validation_failed")
}

func TestTeams(t *testing.T) {
	t.Parallel()
	o := tenant(t)
	base := "/api/v1/org/" + o.ID + "/teams"
	type team struct{ ID, Name string }
	made := want[team](t, call(t, eveOrg.token(t), "POST", base, map[string]string{"name": "surgery"}), http.StatusCreated)
	wantFailure(t, call(t, eveOrg.token(t), "POST", base, map[string]string{"name": "surgery"}), http.StatusConflict, "already_exists")
	accept(t, bobApp, invite(t, eveOrg, o.ID, map[string]any{"email": bobApp.user, "org_roles": []string{"member"}}))
	bob, members := idOf(t, bobApp), base+"/"+made.ID+"/members/"

	wantFailure(t, call(t, bobOrg.token(t), "PUT", members+bob, map[string]any{"team_roles": []string{"lead"}}), http.StatusForbidden, "policy_denied")
	ok(t, call(t, eveOrg.token(t), "PUT", members+bob, map[string]any{"team_roles": []string{"member", "lead"}}))
	for _, bad := range []any{[]string{}, []string{"king"}, []string{"lead", "lead"}} {
		wantFailure(t, call(t, eveOrg.token(t), "PUT", members+bob, map[string]any{"team_roles": bad}), http.StatusBadRequest, "validation_failed")
	}
	page := want[list[member]](t, call(t, eveOrg.token(t), "GET", base+"/"+made.ID+"/members", nil), http.StatusOK)
	if len(page.Items) != 1 || page.Items[0].UserID != bob || page.Items[0].Email != bobApp.user {
		t.Errorf("got %+v", page)
	}
	// A lead runs the team: renames it, and puts members of the organisation in.
	if got := want[team](t, call(t, bobOrg.token(t), "PATCH", base+"/"+made.ID, map[string]string{"name": "neurosurgery"}), http.StatusOK); got.Name != "neurosurgery" {
		t.Errorf("got %+v", got)
	}
	ok(t, call(t, bobOrg.token(t), "PUT", members+idOf(t, eveApp), map[string]any{"team_roles": []string{"member"}}))
	wantFailure(t, call(t, bobOrg.token(t), "DELETE", base+"/"+made.ID, nil), http.StatusForbidden, "policy_denied")

	// A team that owns something stays until that is gone.
	p := createProject(t, bobApp, o.ID, func(b map[string]any) { b["team_id"] = made.ID })
	wantFailure(t, call(t, eveOrg.token(t), "DELETE", base+"/"+made.ID, nil), http.StatusBadRequest, "in_use")
	ok(t, call(t, bobApp.token(t), "DELETE", "/api/v1/app/orgs/"+o.ID+"/projects/"+p.ID, nil))
	ok(t, call(t, eveOrg.token(t), "DELETE", members+bob, nil))
	wantFailure(t, call(t, eveOrg.token(t), "DELETE", members+bob, nil), http.StatusNotFound, "not_found")
	ok(t, call(t, eveOrg.token(t), "DELETE", base+"/"+made.ID, nil))
	wantFailure(t, call(t, eveOrg.token(t), "GET", base+"/"+made.ID, nil), http.StatusNotFound, "not_found")
}

func TestMembershipChangesAreInTheAuditLog(t *testing.T) {
	t.Parallel()
	o := tenant(t)
	accept(t, bobApp, invite(t, eveOrg, o.ID, map[string]any{"email": bobApp.user, "org_roles": []string{"member"}}))
	bob := idOf(t, bobApp)
	want[member](t, call(t, eveOrg.token(t), "PATCH", "/api/v1/org/"+o.ID+"/members/"+bob, map[string]any{"org_roles": []string{"admin"}}), http.StatusOK)
	ok(t, call(t, eveOrg.token(t), "DELETE", "/api/v1/org/"+o.ID+"/members/"+bob, nil))
	want := map[string]int{"org create": 1, "invitation create": 2, "invitation invitation:accept": 2, "membership membership:change_roles": 1, "membership delete": 1}
	eventually(t, 20*time.Second, "each change has its one event", func() bool {
		got := map[string]int{}
		for _, e := range eventsIn(t, eveOrg, o.ID) {
			if e.Outcome == "succeeded" {
				got[e.Resource.Kind+" "+e.Action]++
			}
		}
		for what, n := range got {
			if n > want[what] {
				t.Fatalf("%d of %s", n, what)
			}
		}
		return len(got) == len(want)
	})
}

func eventsIn(t *testing.T, c caller, orgID string) []auditEvent {
	t.Helper()
	return want[list[auditEvent]](t, call(t, c.token(t), "GET", "/api/v1/org/"+orgID+"/audit/events?limit=200", nil), http.StatusOK).Items
}
