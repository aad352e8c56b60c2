//go:build acceptance

package acceptance

import (
	"bytes"
	"testing"
	"time"
)

type offboarding struct {
	Status      string
	SuspendedAt *time.Time `json:"suspended_at"`
	ExportedAt  *time.Time `json:"exported_at"`
	LegalHold   bool       `json:"legal_hold"`
	ErasedAt    *time.Time `json:"erased_at"`
}

// orgOfEve makes an organisation that nobody else knows, with eve as its owner.
func orgOfEve(t *testing.T, slug string) (id string) {
	t.Helper()
	o := want[struct{ ID string }](t, call(t, root.token(t), "POST", "/api/v1/admin/orgs", map[string]string{"slug": slug, "name": "Eve's"}), 201)
	invited := want[invitation](t, call(t, rootMFA.token(t), "POST", "/api/v1/admin/orgs/"+o.ID+"/invitations",
		map[string]any{"email": eveOrg.user, "org_roles": []string{"owner"}}), 201)
	want[any](t, call(t, eveApp.token(t), "POST", "/api/v1/app/invitations/accept", map[string]string{"token": invited.Token}), 200)
	return o.ID
}

// An organisation leaves: suspended, exported by its own administrator, held, released and erased,
// each step in a log.
func TestAnOrganisationLeaves(t *testing.T) {
	t.Parallel()
	boss, slug := rootMFA.token(t), unique("leaving")
	id := orgOfEve(t, slug)
	admin, org := "/api/v1/admin/orgs/"+id, "/api/v1/org/"+id
	want[struct{ ID string }](t, call(t, eveApp.token(t), "POST", "/api/v1/app/orgs/"+id+"/projects",
		map[string]any{"title": "t", "sensitivity": "internal", "pii": false}), 201)

	wantFailure(t, call(t, boss, "POST", admin+"/erase?without_export=true", nil), 403, "policy_denied") // not suspended
	want[any](t, call(t, boss, "POST", admin+"/suspend", nil), 200)
	wantFailure(t, call(t, boss, "POST", admin+"/erase", nil), 400, "export_required")
	eventually(t, 20*time.Second, "the log has something to export", func() bool { return len(eventsIn(t, eveOrg, id)) > 0 })
	archive := call(t, eveOrg.token(t), "GET", org+"/export", nil)
	for _, kind := range []string{"project", "membership", "audit_event", "manifest"} {
		if archive.status != 200 || !bytes.Contains(archive.body, []byte(`{"type":"`+kind+`"`)) {
			t.Fatalf("export: %d, no %s in %s", archive.status, kind, archive.body)
		}
	}
	held := want[offboarding](t, call(t, boss, "POST", admin+"/legal-hold", `{"on":true,"reason":"case 7"}`), 200)
	if !held.LegalHold || held.SuspendedAt == nil || held.ExportedAt == nil || held.ErasedAt != nil {
		t.Errorf("got %+v", held)
	}
	wantFailure(t, call(t, boss, "POST", admin+"/erase?without_export=true", nil), 400, "legal_hold")
	wantFailure(t, call(t, boss, "POST", admin+"/legal-hold", `{"on":false}`), 400, "validation_failed")
	want[offboarding](t, call(t, boss, "POST", admin+"/legal-hold", `{"on":false,"reason":"closed"}`), 200)
	erased := want[offboarding](t, call(t, boss, "POST", admin+"/erase", nil), 200)
	if erased.ErasedAt == nil {
		t.Errorf("got %+v", erased)
	}
	again := want[offboarding](t, call(t, boss, "POST", admin+"/erase", nil), 200)
	if again.ErasedAt == nil || !again.ErasedAt.Equal(*erased.ErasedAt) {
		t.Errorf("once more: %+v", again)
	}
	wantFailure(t, call(t, boss, "POST", admin+"/reactivate", nil), 400, "erased")
	wantFailure(t, call(t, boss, "POST", admin+"/legal-hold", `{"on":true,"reason":"late"}`), 400, "erased")
	wantFailure(t, call(t, eveOrg.token(t), "GET", org, nil), 404, "not_found") // nobody belongs to it
	tomb := want[struct{ Slug, Name, Status string }](t, call(t, root.token(t), "GET", admin, nil), 200)
	if tomb.Name != "Erased" || tomb.Slug == slug || tomb.Status != "suspended" {
		t.Errorf("got %+v", tomb)
	}
	for _, action := range []string{"org:suspend", "org:export", "org:legal_hold", "org:erase"} {
		eventually(t, 20*time.Second, action+" is in the log", func() bool {
			r := call(t, root.token(t), "GET", "/api/v1/admin/audit/events?org_id="+id+"&action="+action, nil)
			return r.status == 200 && bytes.Contains(r.body, []byte(`"`+action+`"`))
		})
	}
}

func TestNobodyErasesThemselves(t *testing.T) {
	t.Parallel()
	me := want[struct{ User struct{ ID string } }](t, call(t, rootMFA.token(t), "GET", "/api/v1/me", nil), 200)
	wantFailure(t, call(t, rootMFA.token(t), "DELETE", "/api/v1/admin/users/"+me.User.ID+"/personal-data", nil), 400, "not_oneself")
}
