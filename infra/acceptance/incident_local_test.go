//go:build acceptance && local

package acceptance

import (
	"net/http"
	"strings"
	"testing"

	"encore.app/infra/platform/incident/incidenttest"
)

// What goes wrong inside reaches Sentry by its names, and nothing that anybody sent goes along.
func TestIncidentsAreReportedWithoutSecrets(t *testing.T) {
	sentry := incidenttest.Start(t)
	database := scratch(t)
	a := observedOn(t, database, "SENTRY_DSN="+sentry.DSN)
	execSQL(t, database, "alter table orgs.projects rename column title to headline")
	body := map[string]any{"title": "canary-title", "body": "canary@acme.test", "sensitivity": "internal", "pii": false}
	r := at(a, t, bobApp, "POST", "/api/v1/app/orgs/"+acme+"/projects?canary=canary", body, func(r *http.Request) {
		r.Header.Set("X-Request-ID", "broken-1")
		r.Header.Set("Cookie", "session=canary")
	})
	if r.status != http.StatusInternalServerError {
		t.Fatalf("got %d: %s", r.status, r.body)
	}
	sentry.Await(t, `"kind":"internal_error"`, `"request_id":"broken-1"`, "orgs.CreateProject", `"decision_id":"`, "42703")

	execSQL(t, database, `insert into platform.outbox (id, topic, payload) values (gen_random_uuid(), 'audit-events', '"canary"')`)
	sentry.Await(t, `"kind":"dead_letter"`, "audit-events")
	a.stop()
	for _, e := range sentry.All() {
		for _, secret := range []string{"canary", "eyJ", "acme.test", "insert into", "Authorization", "Cookie"} {
			if strings.Contains(e, secret) {
				t.Errorf("%q is in %s", secret, e)
			}
		}
	}
}
