//go:build acceptance

package acceptance

import (
	"net/http"
	"testing"
)

type versioned struct {
	ID, Title, Body, Sensitivity string
	TeamID                       *string `json:"team_id"`
	OwnerID                      string  `json:"owner_id"`
	ClinicianID                  string  `json:"clinician_id"`
	PatientRef                   string  `json:"patient_ref"`
	PII                          bool
	Version                      int
}

func TestResourcesAreChangedAndHidden(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"projects", "docs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			base := "/api/v1/app/orgs/" + acme + "/" + kind
			body := map[string]any{"title": unique(kind), "body": "text", "sensitivity": "internal", "pii": false}
			made := want[versioned](t, call(t, bobApp.token(t), "POST", base, body), http.StatusCreated)
			path := base + "/" + made.ID
			read := call(t, bobApp.token(t), "GET", path, nil)
			if tag := read.header.Get("ETag"); tag != `"1"` {
				t.Errorf("ETag %s", tag)
			}

			// Partial: what is not named stays.
			got := want[versioned](t, call(t, bobApp.token(t), "PATCH", path, map[string]any{"title": "other"}, ifMatch(`"1"`)), http.StatusOK)
			if got.Title != "other" || got.Body != "text" || got.Sensitivity != "internal" || got.Version != 2 {
				t.Errorf("got %+v", got)
			}
			wantFailure(t, call(t, bobApp.token(t), "PATCH", path, map[string]any{"title": "late"}, ifMatch(`"1"`)), http.StatusPreconditionFailed, "version_conflict")
			wantFailure(t, call(t, bobApp.token(t), "PATCH", path, map[string]any{"title": "late"}, ifMatch(`"none-of-ours"`)), http.StatusPreconditionFailed, "version_conflict")
			wantFailure(t, call(t, bobApp.token(t), "PATCH", path, map[string]any{}), http.StatusBadRequest, "validation_failed")
			wantFailure(t, call(t, bobApp.token(t), "PATCH", path, map[string]any{"sensitivity": "cosmic"}), http.StatusBadRequest, "validation_failed")
			wantFailure(t, call(t, bobApp.token(t), "PATCH", path, map[string]any{"team_id": "00000000-0000-7000-8000-00000000dead"}), http.StatusBadRequest, "validation_failed")
			wantFailure(t, call(t, bobApp.token(t), "PATCH", path, `{"team_id":7}`), http.StatusBadRequest, "validation_failed")

			// Into a team and, with null, out of it.
			if got := want[versioned](t, call(t, bobApp.token(t), "PATCH", path, map[string]any{"team_id": cardiology}), http.StatusOK); got.TeamID == nil {
				t.Errorf("got %+v", got)
			}
			if got := want[versioned](t, call(t, bobApp.token(t), "PATCH", path, map[string]any{"title": "x"}), http.StatusOK); got.TeamID == nil {
				t.Errorf("the team went with the title: %+v", got)
			}
			if got := want[versioned](t, call(t, bobApp.token(t), "PATCH", path, `{"team_id":null}`), http.StatusOK); got.TeamID != nil {
				t.Errorf("got %+v", got)
			}

			// What it is decides, and what it becomes.
			wantFailure(t, call(t, bobApp.token(t), "PATCH", path, map[string]any{"pii": true}), http.StatusForbidden, "mfa_required")
			wantFailure(t, call(t, graceApp.token(t), "PATCH", path, map[string]any{"title": "mine"}), http.StatusForbidden, "policy_denied")
			ok(t, call(t, bobAppMFA.token(t), "PATCH", path, map[string]any{"pii": true}))
			wantFailure(t, call(t, bobApp.token(t), "PATCH", path, map[string]any{"pii": false}), http.StatusForbidden, "mfa_required")
			ok(t, call(t, bobAppMFA.token(t), "PATCH", path, map[string]any{"pii": false}))

			wantFailure(t, call(t, graceApp.token(t), "DELETE", path, nil), http.StatusForbidden, "policy_denied")
			wantFailure(t, call(t, bobApp.token(t), "DELETE", path, nil, ifMatch(`"1"`)), http.StatusPreconditionFailed, "version_conflict")
			ok(t, call(t, bobApp.token(t), "DELETE", path, nil))
			for _, method := range []string{"GET", "DELETE"} {
				wantFailure(t, call(t, bobApp.token(t), method, path, nil), http.StatusNotFound, "not_found")
			}
			wantFailure(t, call(t, bobApp.token(t), "PATCH", path, map[string]any{"title": "x"}), http.StatusNotFound, "not_found")
			for cursor := ""; ; {
				page := want[list[versioned]](t, call(t, bobApp.token(t), "GET", base+"?limit=200&cursor="+cursor, nil), http.StatusOK)
				for _, r := range page.Items {
					if r.ID == made.ID {
						t.Error("it is listed")
					}
				}
				if cursor = page.NextCursor; cursor == "" {
					break
				}
			}
			// Another tenant's looks absent to a change, too.
			wantFailure(t, call(t, eveApp.token(t), "PATCH", "/api/v1/app/orgs/"+globex+"/"+kind+"/"+made.ID, map[string]any{"title": "x"}), http.StatusNotFound, "not_found")
		})
	}
}

func TestPatientRecordsAreTheCareTeams(t *testing.T) {
	t.Parallel()
	base := "/api/v1/app/orgs/" + acme + "/patient-records"
	clinician := idOf(t, alanApp)
	body := map[string]any{
		"title": unique("record"), "sensitivity": "restricted", "pii": true, "team_id": cardiology,
		"patient_ref": "p-17", "clinician_id": clinician,
	}
	wantFailure(t, call(t, bobApp.token(t), "POST", base, body), http.StatusForbidden, "mfa_required")
	made := want[versioned](t, call(t, bobAppMFA.token(t), "POST", base, body), http.StatusCreated)
	if made.PatientRef != "p-17" || made.ClinicianID != clinician || !made.PII {
		t.Errorf("got %+v", made)
	}
	path := base + "/" + made.ID
	alanMFA, adaMFA := alanApp, adaApp
	alanMFA.mfa, adaMFA.mfa = true, true

	want[versioned](t, call(t, graceMFA.token(t), "GET", path, nil), http.StatusOK) // of the team
	want[versioned](t, call(t, alanMFA.token(t), "GET", path, nil), http.StatusOK)  // the clinician
	wantFailure(t, call(t, adaMFA.token(t), "GET", path, nil), http.StatusForbidden, "policy_denied")
	wantFailure(t, call(t, graceApp.token(t), "GET", path, nil), http.StatusForbidden, "mfa_required")
	wantFailure(t, call(t, eveAppMFA.token(t), "GET", "/api/v1/app/orgs/"+globex+"/patient-records/"+made.ID, nil), http.StatusForbidden, "upgrade_required")
	listed := func(c caller) (n int) {
		t.Helper()
		for cursor := ""; ; {
			page := want[list[versioned]](t, call(t, c.token(t), "GET", base+"?limit=200&cursor="+cursor, nil), http.StatusOK)
			for _, r := range page.Items {
				if r.ID == made.ID {
					n++
				}
			}
			if cursor = page.NextCursor; cursor == "" {
				return n
			}
		}
	}
	for c, n := range map[caller]int{graceMFA: 1, alanMFA: 1, adaMFA: 0, graceApp: 0} {
		if got := listed(c); got != n {
			t.Errorf("%s (mfa %v) sees it %d times, want %d", c.user, c.mfa, got, n)
		}
	}

	// To hand it to somebody else is decided on what it becomes: outside care, it is nobody's to make.
	wantFailure(t, call(t, bobAppMFA.token(t), "PATCH", path, map[string]any{"clinician_id": idOf(t, adaApp), "team_id": nil}), http.StatusForbidden, "policy_denied")
	got := want[versioned](t, call(t, graceMFA.token(t), "PATCH", path, map[string]any{"clinician_id": idOf(t, graceApp), "patient_ref": "p-18"}), http.StatusOK)
	if got.PatientRef != "p-18" || got.Title != made.Title {
		t.Errorf("got %+v", got)
	}
	wantFailure(t, call(t, alanMFA.token(t), "GET", path, nil), http.StatusForbidden, "policy_denied")
	for _, field := range []string{"patient_ref", "clinician_id", "pii", "sensitivity", "title"} {
		short := map[string]any{}
		for k, v := range body {
			if k != field {
				short[k] = v
			}
		}
		wantFailure(t, call(t, bobAppMFA.token(t), "POST", base, short), http.StatusBadRequest, "validation_failed")
	}
	ok(t, call(t, graceMFA.token(t), "DELETE", path, nil))
	wantFailure(t, call(t, graceMFA.token(t), "GET", path, nil), http.StatusNotFound, "not_found")
}
