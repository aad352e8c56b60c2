//go:build acceptance

package acceptance

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"encore.app/docs/openapi"
)

// The tests of this file are named after the item of OWASP ASVS 5.0 or of the API Security Top 10 (2023)
// that they prove. docs/security.md lists them beside those that other tests prove.

// API 8: nothing is served that is not meant to be.
func TestAPI8_ASVS_13_4_2_13_4_5_NoDebugAndNoStrayPage(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/debug", "/trace", "/.git/config", "/.git/HEAD", "/.env", "/.dev/",
		"/.secrets.local.cue", "/encore.app", "/go.mod", "/actuator", "/actuator/env", "/server-status", "/phpinfo.php",
		"/admin", "/console", "/swagger", "/swagger-ui.html", "/graphql", "/v2/api-docs", "/config.json", "/backup.sql",
		"/__encore/", "/__encore/debug", "/orgs.CheckAccess", "/static/..%2f..%2fetc/passwd", "/%2e%2e/etc/passwd",
	} {
		if r := call(t, "", "GET", path, nil); r.status != http.StatusNotFound || strings.Contains(string(r.body), "goroutine") {
			t.Errorf("%s: %d %.200s", path, r.status, r.body)
		}
	}
	// Encore's development server lets its developer call what is private.
	if r := call(t, "", "GET", "/idempotency.Reap", nil); stockHost && r.status != http.StatusNotFound {
		t.Errorf("a cron's endpoint answers strangers: %d", r.status)
	}
	for _, method := range []string{"TRACE", "CONNECT", "PROPFIND", "DEBUG"} {
		if r := call(t, "", method, "/api/v1/me", nil); r.status != http.StatusMethodNotAllowed && r.status != http.StatusNotFound {
			t.Errorf("%s: %d %.200s", method, r.status, r.body)
		}
	}
	r := call(t, "", "GET", "/api/v1/nothing", nil)
	for _, header := range []string{"Server", "X-Powered-By", "Via"} {
		if r.header.Get(header) != "" {
			t.Errorf("%s tells %q", header, r.header.Get(header))
		}
	}
}

// A client's own word on where it comes from changes nothing: the log has the address that the listener
// saw.
func TestASVS_4_1_3_15_3_4_AForwardedAddressIsNotBelieved(t *testing.T) {
	t.Parallel()
	spoofed := func(r *http.Request) {
		for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "X-Forwarded-Host"} {
			r.Header.Set(name, "203.0.113.66")
		}
	}
	made := want[project](t, call(t, adaApp.token(t), "POST", acmeProjects, draft(unique("spoofed")), spoofed), http.StatusCreated)
	var ip string
	eventually(t, 30*time.Second, "the event is in the log", func() bool {
		r := call(t, adaOrg.token(t), "GET", "/api/v1/org/"+acme+"/audit/events?action=create&resource="+made.ID, nil)
		items := want[list[struct{ IP string }]](t, r, http.StatusOK).Items
		if len(items) == 1 {
			ip = items[0].IP
		}
		return len(items) == 1
	})
	if ip == "" || ip == "203.0.113.66" {
		t.Errorf("the log has %q", ip)
	}
}

// Nothing secret has a place in a URL: no parameter of any operation is one.
func TestASVS_14_2_1_NoSecretHasAPlaceInAURL(t *testing.T) {
	t.Parallel()
	text, err := openapi.Files.ReadFile("all.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	secret := regexp.MustCompile(`(?i)token|secret|passw|credential|e-?mail|session|signature|api_?key$`)
	for path, methods := range doc.Paths {
		for method, op := range methods {
			for _, p := range op.Parameters {
				if p.In != "header" && secret.MatchString(p.Name) {
					t.Errorf("%s %s takes %s in the %s", method, path, p.Name, p.In)
				}
			}
		}
	}
}

// API 4: what one request may cost has bounds.
func TestAPI4_ASVS_2_4_1_OneRequestHasBounds(t *testing.T) {
	t.Parallel()
	bearer := adaApp.token(t)
	deep := `{"value":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`
	wantFailure(t, call(t, adaOrg.token(t), "PUT", "/api/v1/org/"+acme+"/settings/locale.language", deep), http.StatusBadRequest, "validation_failed")
	checks := make([]map[string]any, 51)
	for i := range checks {
		checks[i] = map[string]any{"resource": map[string]any{"kind": "project", "org_id": acme}, "actions": []string{"read"}}
	}
	wantFailure(t, call(t, bearer, "POST", "/api/v1/authz/check", map[string]any{"checks": checks}), http.StatusBadRequest, "validation_failed")
	wantFailure(t, call(t, bearer, "GET", acmeProjects+"?limit=201", nil), http.StatusBadRequest, "validation_failed")
	wantFailure(t, call(t, bearer, "POST", acmeProjects, draft(strings.Repeat("a", 201))), http.StatusBadRequest, "validation_failed")
}
